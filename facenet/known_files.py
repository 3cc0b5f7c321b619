"""Published weight files that are recognised by their SHA-256."""

SOURCES = {
    "3998d19225d8a37c441f04615271c58039c0c7575f3071a9f734bc4eca534564": "embedded here",
    "29bda6a87acaf69432cfdfd13e1bdbcca75dfa78893c3795214b9e74afe7ffa2": (
        "nyoki-mtl/keras-facenet, facenet_keras_weights.h5 (from a copy)"
    ),
    "90659cc97bfda5999120f95d8e122f4d262cca11715a21e59ba024bcce816d5c": (
        "serengil/deepface, facenet_weights.h5"
    ),
    "8b71e7045497e841c00ee568f031d1a4d30908fceadf6884aef2dec4d545202b": (
        "faustomorales/keras-facenet, 20180402-114759-weights.h5"
    ),
    "c99bfb20ca9959afb7bb83a1a6f4b7fc65bacf471c7f945c15a39881057a56be": (
        "faustomorales/keras-facenet, 20180402-114759.h5"
    ),
    "af526097bd89ff84dda94dc071ff39c4cf39922cf0a9d9dea652853cda9616be": (
        "faustomorales/keras-facenet, 20180408-102900-weights.h5"
    ),
    "668e950140ad76f1e21e3a2bc1d3ad9c673734ea8ea1abbf4ecc44d1dbdd400b": (
        "faustomorales/keras-facenet, 20170512-110547-weights.h5"
    ),
    "28db99aaafce0e62b2cdb1db5ac733ffa9e52a365e1a3ca0a13c5159bd4363c4": (
        "faustomorales/keras-facenet, 20170511-185253-weights.h5"
    ),
    "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b": (
        "timesler/facenet-pytorch, 20180402-114759-vggface2.pt"
    ),
    "7a67afdbbc995fce5e10128675e318799a70698c2f433ba75dd7eb9a2f096e7d": (
        "timesler/facenet-pytorch, 20180408-102900-casia-webface.pt"
    ),
}
