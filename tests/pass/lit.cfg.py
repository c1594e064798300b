# Tests of the Clang plugin, palisade-cc and palisade report. One behaviour a file.
import os
import shutil
import sys

import lit.formats

config.name = "pass"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".c", ".ll", ".test"]
config.excludes = ["Inputs", "run"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.build_dir

plugin = os.path.join(config.lib_dir, "PalisadePass.so")
clang = config.clang
flags = f"-g -fno-pie -fplugin={plugin} -fpass-plugin={plugin}"
whole = "-mllvm -palisade-whole-program"

config.substitutions += [
    # The pass as documented for plain clang; %ir prints the module, %remarks one line an access.
    ("%clang_whole", f"{clang} {flags} {whole}"),
    ("%clang_pass", f"{clang} {flags}"),
    ("%clang", clang),
    ("%ir", "-S -emit-llvm -o -"),
    ("%remarks", "-c -o /dev/null -Rpass=palisade -Rpass-missed=palisade"),
    ("%plugin", plugin),
    ("%python", sys.executable),
    ("%lib", config.lib_dir),
    ("%palisade-cc", os.path.join(config.bin_dir, "palisade-cc")),
    ("%palisade", os.path.join(config.bin_dir, "palisade")),
    ("%inputs", os.path.join(config.test_source_root, "Inputs")),
]
config.environment["PATH"] = config.llvm_bin + os.pathsep + os.environ["PATH"]
config.environment["LC_ALL"] = "C"

old = shutil.which("clang-14")
if old:
    config.available_features.add("clang-14")
    config.substitutions.insert(0, ("%old_clang", old))
