//! Decisions read from bytes, so that whoever chooses the bytes, a fuzzer or a random generator, chooses the case.

/// Bytes that have not been used yet. At the end, every decision is the first of its choices.
#[derive(Clone)]
pub struct Bytes<'a>(&'a [u8]);

/// Numbers where functions, comparisons and conversions change their behavior.
const SPECIAL: [f32; 32] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    -2.0,
    3.0,
    -3.0,
    6.0,
    1.5,
    0.1,
    -0.7,
    1e-7,
    -1e-3,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-40,
    89.0,
    -89.0,
    -104.0,
    1e-20,
    1e20,
    16_777_216.0,
    -1e9,
];

impl<'a> Bytes<'a> {
    pub fn new(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number below `count`, which is at most 256.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    pub fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// A special number, one of moderate size, or any.
    pub fn float(&mut self) -> f32 {
        match self.byte() {
            selector @ 0..96 => SPECIAL[usize::from(selector) % SPECIAL.len()],
            selector @ 96..224 => (f32::from(selector) - 160.0) / 16.0 + f32::from(self.byte()) / 4096.0,
            _ => f32::from_bits(u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])),
        }
    }
}
