//! Runs code on slices: memory for registers, the right instance, and lengths that are not a multiple of the vectors.

use std::mem::MaybeUninit;

use super::code::Code;
use super::run::{Piece, Place};
use crate::elementwise::MAX_OPERANDS;
use crate::kernels::aligned::LINE;
use crate::kernels::dispatch::{Instance, Kernel, instance};
use crate::kernels::isa::{Isa, VectorIsa};
use crate::kernels::simd::Simd;
use crate::kernels::simd::array::Array;

/// Floats for all registers of a strip: they fit in the L1 cache.
const REGISTERS: usize = 8192;

/// Most floats of a strip.
const STRIP: usize = 512;

/// The memory of a thread that runs code.
#[repr(C, align(64))]
pub(super) struct Memory {
    registers: MaybeUninit<[f32; REGISTERS]>,
    vectors: MaybeUninit<[[f32; LINE]; MAX_OPERANDS + 1]>,
    places: MaybeUninit<[Place; MAX_OPERANDS]>,
}

impl Memory {
    pub fn new() -> Memory {
        Memory { registers: MaybeUninit::uninit(), vectors: MaybeUninit::uninit(), places: MaybeUninit::uninit() }
    }

    /// Sets where an operand is.
    pub fn put(&mut self, slot: usize, place: Place) {
        assert!(slot < MAX_OPERANDS);
        // SAFETY: inside the array, as asserted
        unsafe { self.places.as_mut_ptr().cast::<Place>().add(slot).write(place) };
    }

    /// A vector for an operand, or for results at `MAX_OPERANDS`: these values, and zeros.
    pub fn vector(&mut self, slot: usize, values: &[f32]) -> *mut f32 {
        let mut vector = [0.0; LINE];
        vector[..values.len()].copy_from_slice(values);
        assert!(slot <= MAX_OPERANDS);
        let to = self.vectors.as_mut_ptr().cast::<[f32; LINE]>().wrapping_add(slot);
        // SAFETY: inside the array, as asserted
        unsafe { to.write(vector) };
        to.cast()
    }
}

/// Code for an instruction set.
#[derive(Clone, Copy)]
pub(super) struct Runner<'a> {
    pub code: &'a Code,
    /// Floats per vector.
    pub lanes: usize,
    isa: Option<VectorIsa>,
}

impl<'a> Runner<'a> {
    pub fn new(isa: Isa, code: &'a Code) -> Runner<'a> {
        let isa = isa.vector();
        Runner { code, lanes: isa.map_or(Array::LANES, VectorIsa::lanes), isa }
    }

    /// Computes `vectors` vectors. `mask` limits their bits.
    ///
    /// # Safety
    /// All operands have been put to places that are valid for as many vectors, as is `out` for writing; to stream, `out` must be
    /// at a multiple of the vector's size.
    pub unsafe fn run(&self, memory: &mut Memory, vectors: usize, mask: Option<&[u32; LINE]>, stream: bool, out: *mut f32) {
        // SAFETY: the caller has put them there
        let operands = unsafe { std::slice::from_raw_parts(memory.places.as_ptr().cast::<Place>(), self.code.operands()) };
        let expanded = operands.iter().filter(|operand| operand.expand).count();
        let registers = (self.code.registers + expanded).max(1);
        let strip = (REGISTERS / (registers * self.lanes)).clamp(1, STRIP / self.lanes);
        assert!(registers * strip * self.lanes <= REGISTERS);
        let piece = Piece {
            code: self.code,
            operands,
            vectors,
            registers: memory.registers.as_mut_ptr().cast(),
            strip,
            out,
            mask: mask.map_or(std::ptr::null(), |mask| mask.as_ptr().cast()),
            stream,
        };
        let run: Instance<Piece<'_>> = self.isa.map_or(Piece::run::<Array>, instance::<Piece<'_>>);
        // SAFETY: the processor supports the instruction set; registers have room as asserted; the caller guarantees the rest
        unsafe { run(&piece) };
    }
}

/// The bits of the channels that a block has; `None` if it has all.
pub(super) fn mask(lanes: usize, channels: usize) -> Option<[u32; LINE]> {
    let mut bits = [0; LINE];
    bits[..channels.min(lanes)].fill(u32::MAX);
    (channels < lanes).then_some(bits)
}

/// Applies code of one operand to each value: to a strip of a kernel's results while it is in the cache. In a blocked layout the
/// strip is of one block, and channels of it from `channels` on become 0.
pub(crate) fn apply(isa: Isa, code: &Code, channels: usize, values: &mut [f32]) {
    let runner = Runner::new(isa, code);
    let lanes = runner.lanes;
    let mut memory = Memory::new();
    let (whole, rest) = values.split_at_mut(values.len() / lanes * lanes);
    let mask = mask(lanes, channels);
    let at = whole.as_mut_ptr();
    assert_eq!(code.operands(), 1, "a function of one operand");
    memory.put(0, Place { at, step: lanes, expand: false });
    // SAFETY: the slice holds the vectors
    unsafe { runner.run(&mut memory, whole.len() / lanes, mask.as_ref(), false, at) };
    if !rest.is_empty() {
        let at = memory.vector(0, rest);
        memory.put(0, Place { at, step: lanes, expand: false });
        // SAFETY: a vector
        unsafe {
            runner.run(&mut memory, 1, None, false, at);
            rest.copy_from_slice(std::slice::from_raw_parts(at, rest.len()));
        }
    }
}
