"""Run a command again and again in one process, which starts only once: COMMAND CONSTANTS.

CONSTANTS is a list of {name: value} in JSON. For each, what the command raised is printed, "null"
for nothing.
"""

import importlib
import json
import os
import sys

sys.path.insert(0, os.getcwd())
command = importlib.import_module(sys.argv[1])
errors = importlib.import_module("errors")

tf = importlib.import_module("tensorflow")
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # takes long
defaults = dict(vars(command))
for constants in json.loads(sys.argv[2]):
    vars(command).update(defaults | constants)
    try:
        command.main()
        print("raised: null")
    except (errors.Mistake, OSError) as error:
        print("raised:", json.dumps(str(error)))
