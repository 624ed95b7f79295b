//! Checks the size of a file's structure before it is decoded, because a message of two bytes decodes to a struct of two hundred. The values of
//! tensors do not count: they are slices of the file, or at most eight times as large when decoded.

use super::super::protobuf::{Field, Fields};
use super::error::OnnxError;

/// The maximum size of the structure, which is everything except the values of tensors. ResNet-1202's has 1.4 MB.
const MAX_STRUCTURE: usize = 16 << 20;
/// The maximum number of tensors.
const MAX_TENSORS: usize = 200_000;

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
        let mut fields = Fields::of(message);
        for field in fields.by_ref() {
            match parsed.iter().find(|(number, _)| *number == field.number) {
                // the header of the field counts too: a thousand empty nodes are still a thousand nodes
                Some((_, Message::Of(parsed))) => {
                    self.structure += field.len - field.value.bytes().len();
                    self.add(field.value.bytes(), parsed);
                }
                Some((_, Message::Tensor)) => {
                    self.structure += field.len - field.value.bytes().len();
                    self.tensors += 1;
                    let mut tensor = Fields::of(field.value.bytes());
                    self.structure += tensor.by_ref().filter(|f| !is_values(f)).map(|f| f.len).sum::<usize>();
                    self.structure += tensor.rest().len();
                }
                None => self.structure += field.len,
            }
        }
        // an invalid rest counts too: the decoder may interpret it differently
        self.structure += fields.rest().len();
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
    matches!(field.number, 4 | 5 | 7 | 9 | 10) && !field.value.bytes().is_empty()
}
