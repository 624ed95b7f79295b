"""Instructions for each multiply-add in the loops of compiled kernels, by disassembling a program.

usage: inner_loops.py PROGRAM [--objdump aarch64-linux-gnu-objdump]

Where a processor is emulated, its speed cannot be measured, but what its kernels consist of can be counted: one line for each function with 32 to
256 vector multiply-adds, over the instructions from the first of them to the last. A kernel has one loop there, with what is rarely executed in it
(prefetching, the way to the next row), so that the count is an upper bound. Made for 64-bit Arm (`fmla` on four floats).
"""
import argparse, collections, re, subprocess

args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
args.add_argument("program")
args.add_argument("--objdump", default="aarch64-linux-gnu-objdump")
args = args.parse_args()
text = subprocess.run([args.objdump, "-d", "--no-show-raw-insn", args.program], capture_output=True, text=True, check=True).stdout
kinds = collections.Counter()
for function in text.split("\n\n"):
    lines = re.findall(r"^\s+[0-9a-f]+:\t(.*)$", function, re.MULTILINE)
    products = [index for index, line in enumerate(lines) if line.startswith("fmla\t")]
    if 32 <= len(products) <= 256:
        body = lines[products[0] : products[-1] + 1]
        kinds[len(products), len(body), sum(line.startswith("ld") for line in body), sum("[sp" in line for line in body)] += 1
print("fmla  instructions  loads  on the stack  functions  instructions a multiply-add")
for (products, instructions, loads, stack), count in sorted(kinds.items(), reverse=True):
    print(f"{products:4}  {instructions:12}  {loads:5}  {stack:12}  {count:9}  {instructions / products / 4:27.3f}")
