//! Weighs the structure of a file before it is decoded: a message of two bytes becomes a struct of two hundred, so that what is decoded
//! is bounded by what is counted here. Tensors' values count little: they are sliced from the file, or grow eightfold at most.

use super::error::OnnxError;

/// The most bytes of structure: all but the values of tensors. ResNet-1202's has 1.4 MB.
const MAX_STRUCTURE: usize = 16 << 20;
/// The most tensors.
const MAX_TENSORS: usize = 200_000;

/// A field of a message: its number, and its bytes where it has a length.
struct Field<'a> {
    number: u64,
    bytes: &'a [u8],
    /// Bytes of the whole field.
    len: usize,
}

/// The fields of a message, as far as it is sound.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let all = self.0;
        let key = self.varint()?;
        let mut bytes: &[u8] = &[];
        match key & 7 {
            0 => {
                self.varint()?;
            }
            1 => self.0 = self.0.get(8..)?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                bytes = self.0.get(..len)?;
                self.0 = &self.0[len..];
            }
            5 => self.0 = self.0.get(4..)?,
            // groups, which no ONNX file has: the decoder refuses or skips them within its own limit of depth
            _ => return None,
        }
        Some(Field { number: key >> 3, bytes, len: all.len() - self.0.len() })
    }
}

impl Fields<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

/// What lies within a message: the number of each field that is looked into, and what it holds. All else counts as it is.
type Within = &'static [(u64, Message)];

/// A message that may hold tensors.
#[derive(Clone, Copy)]
enum Message {
    /// Looked into.
    Of(Within),
    /// A tensor.
    Tensor,
}

/// A model's graph, its initializers, and the tensors that are attributes of its nodes.
const MODEL: Within =
    &[(7, Message::Of(&[(5, Message::Tensor), (1, Message::Of(&[(5, Message::Of(&[(5, Message::Tensor)]))]))]))];

/// What was counted.
#[derive(Default)]
struct Weight {
    structure: usize,
    tensors: usize,
}

impl Weight {
    fn add(&mut self, message: &[u8], within: Within) {
        let mut fields = Fields(message);
        for field in fields.by_ref() {
            match within.iter().find(|(number, _)| *number == field.number) {
                // the field's own bytes too: a thousand empty nodes are a thousand nodes
                Some((_, Message::Of(within))) => {
                    self.structure += field.len - field.bytes.len();
                    self.add(field.bytes, within);
                }
                Some((_, Message::Tensor)) => {
                    self.structure += field.len - field.bytes.len();
                    self.tensors += 1;
                    let mut tensor = Fields(field.bytes);
                    self.structure += tensor.by_ref().filter(|f| !is_values(f)).map(|f| f.len).sum::<usize>();
                    self.structure += tensor.0.len();
                }
                None => self.structure += field.len,
            }
        }
        // what is not sound counts too: the decoder may read it in another way
        self.structure += fields.0.len();
    }
}

/// Refuses a file whose structure would take memory out of proportion.
pub(super) fn weigh(file: &[u8]) -> Result<(), OnnxError> {
    let mut weight = Weight::default();
    weight.add(file, MODEL);
    let Weight { structure, tensors } = weight;
    if structure > MAX_STRUCTURE {
        let reason = format!("it has {structure} bytes besides its weights; at most {MAX_STRUCTURE} are read");
        return Err(OnnxError::TooLarge { reason });
    }
    if tensors > MAX_TENSORS {
        return Err(OnnxError::TooLarge { reason: format!("it has {tensors} tensors; at most {MAX_TENSORS} are read") });
    }
    Ok(())
}

/// Lists of values, of which a packed one has at least a byte for eight of memory.
fn is_values(field: &Field<'_>) -> bool {
    matches!(field.number, 4 | 5 | 7 | 9 | 10) && !field.bytes.is_empty()
}
