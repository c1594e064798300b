# Tests of the Clang plugin, palisade-cc and palisade report. One behaviour a file.
import os
import sys

import lit.formats

main = config.llvm_bin == config.main_llvm_bin
config.name = "pass" if main else f"pass, LLVM {config.llvm_version}"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".c", ".ll", ".test"]
config.excludes = ["Inputs", "run"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.build_dir

plugin = config.plugin
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
    ("%version", config.llvm_version),
    ("%python", sys.executable),
    ("%lib", config.lib_dir),
    ("%palisade-cc", os.path.join(config.bin_dir, "palisade-cc")),
    ("%palisade", os.path.join(config.bin_dir, "palisade")),
    ("%inputs", os.path.join(config.test_source_root, "Inputs")),
]
# FileCheck comes with the LLVM that builds Palisade.
config.environment["PATH"] = os.pathsep.join(
    [config.llvm_bin, config.main_llvm_bin, os.environ["PATH"]])
config.environment["LC_ALL"] = "C"
if not main:
    config.environment["PALISADE_CLANG"] = clang
