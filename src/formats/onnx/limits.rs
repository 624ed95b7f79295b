//! Checks the size of a file's structure before it is decoded, because a message of two bytes decodes to a struct of two hundred. The values of
//! tensors do not count: they are slices of the file, or at most eight times as large when decoded.

use super::error::OnnxError;

/// The maximum size of the structure, which is everything except the values of tensors. ResNet-1202's has 1.4 MB.
const MAX_STRUCTURE: usize = 16 << 20;
/// The maximum number of tensors.
const MAX_TENSORS: usize = 200_000;

/// A field of a message: its number, and its bytes if it is length-delimited.
struct Field<'a> {
    number: u64,
    bytes: &'a [u8],
    /// The size of the whole field in bytes.
    len: usize,
}

/// The fields of a message, up to the first invalid one.
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
            // groups, which ONNX does not use: the decoder rejects or skips them, with its own limit of depth
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

/// The fields of a message that are parsed, with their contents. All other fields count with their size.
type ParsedFields = &'static [(u64, Message)];

/// A message that may contain tensors.
#[derive(Clone, Copy)]
enum Message {
    /// A message whose fields are parsed.
    Of(ParsedFields),
    /// A tensor.
    Tensor,
}

/// A model's graph, its initializers, and the tensors that are attributes of its nodes.
const MODEL: ParsedFields =
    &[(7, Message::Of(&[(5, Message::Tensor), (1, Message::Of(&[(5, Message::Of(&[(5, Message::Tensor)]))]))]))];

/// The totals of a file.
#[derive(Default)]
struct Totals {
    structure: usize,
    tensors: usize,
}

impl Totals {
    fn add(&mut self, message: &[u8], parsed: ParsedFields) {
        let mut fields = Fields(message);
        for field in fields.by_ref() {
            match parsed.iter().find(|(number, _)| *number == field.number) {
                // the header of the field counts too: a thousand empty nodes are still a thousand nodes
                Some((_, Message::Of(parsed))) => {
                    self.structure += field.len - field.bytes.len();
                    self.add(field.bytes, parsed);
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
        // an invalid rest counts too: the decoder may interpret it differently
        self.structure += fields.0.len();
    }
}

/// Rejects a file whose structure would need too much memory.
pub(super) fn check(file: &[u8]) -> Result<(), OnnxError> {
    let mut totals = Totals::default();
    totals.add(file, MODEL);
    let Totals { structure, tensors } = totals;
    if structure > MAX_STRUCTURE {
        let reason = format!("it has {structure} bytes besides its weights; the limit is {MAX_STRUCTURE}");
        return Err(OnnxError::TooLarge { reason });
    }
    if tensors > MAX_TENSORS {
        return Err(OnnxError::TooLarge { reason: format!("it has {tensors} tensors; the limit is {MAX_TENSORS}") });
    }
    Ok(())
}

/// Whether a field is a list of values. A packed one has at least one byte per eight bytes of memory.
fn is_values(field: &Field<'_>) -> bool {
    matches!(field.number, 4 | 5 | 7 | 9 | 10) && !field.bytes.is_empty()
}
