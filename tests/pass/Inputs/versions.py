# versions.py PLUGIN VERSION SOURCE: every other clang on this machine refuses the plugin in one sentence.
import shutil
import subprocess
import sys

plugin, version, source = sys.argv[1:]
sentence = (f"palisade: this plugin was built for LLVM {version} and another version loads it: use "
            f"clang-{version}, or build Palisade with the LLVM of this compiler")
for other in ("14", "15", "16", "19", "22"):
    clang = shutil.which(f"clang-{other}")
    if other == version or not clang:
        continue
    for flags in (["-fpass-plugin=" + plugin], ["-fplugin=" + plugin, "-fpass-plugin=" + plugin]):
        run = subprocess.run([clang, *flags, "-c", source, "-o", "/dev/null"],
                             capture_output=True, text=True)
        lines = run.stderr.splitlines()
        own = [line for line in lines if line.startswith("palisade: ")]
        if run.returncode != 1 or own != [sentence] or "Stack dump" in run.stderr:
            sys.exit(f"{clang} {flags[0]}: status {run.returncode}:\n{run.stderr}")
    print("refused by", clang)
