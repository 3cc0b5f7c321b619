"""Pictures without TensorFlow: reading, listing, cropping, detecting faces, and sheets of them."""
