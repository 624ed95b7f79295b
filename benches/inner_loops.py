"""Instructions for each multiply-add in the innermost loops of a compiled program, by disassembling it.

usage: inner_loops.py PROGRAM [--objdump aarch64-linux-gnu-objdump]

Where a processor is emulated, its speed cannot be measured, but what the loops of the kernels consist of can be counted: one line for each kind
of innermost loop of at least 16 vector multiply-adds that keeps every sum in a register. Made for 64-bit Arm (`fmla` on four floats).
"""
import argparse, collections, re, subprocess

args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
args.add_argument("program")
args.add_argument("--objdump", default="aarch64-linux-gnu-objdump")
args = args.parse_args()
text = subprocess.run([args.objdump, "-d", "--no-show-raw-insn", args.program], capture_output=True, text=True, check=True).stdout
branch = re.compile(r"\t(?:b\.\w+|cbn?z|tbn?z|b)\t(?:\w+, )?(?:#\d+, )?([0-9a-f]+) <")
kinds = collections.Counter()
for function in text.split("\n\n"):
    lines = [line for line in function.split("\n") if re.match(r"\s+[0-9a-f]+:", line)]
    at = {line.split(":")[0].strip(): index for index, line in enumerate(lines)}
    back = [(at.get(found.group(1), end + 1), end) for end, line in enumerate(lines) if (found := branch.search(line))]
    loops = [(start, end) for start, end in back if start <= end]
    for start, end in loops:
        if any(start <= a and b <= end and (a, b) != (start, end) for a, b in loops):
            continue
        body = lines[start : end + 1]
        products = sum("fmla" in line for line in body)
        if products >= 16 and not any("[sp" in line for line in body):
            kinds[products, len(body), sum(bool(re.search(r"\tld", line)) for line in body)] += 1
print("fmla  instructions  loads  loops  instructions a multiply-add")
for (products, instructions, loads), count in sorted(kinds.items(), reverse=True):
    print(f"{products:4}  {instructions:12}  {loads:5}  {count:5}  {instructions / products / 4:27.3f}")
