//! A pickle interpreter that runs no code: the instructions of protocols 2 to 5 that `torch.save` emits, on plain data. The result of a
//! class or function that is not known is a placeholder.
//!
//! [`MAX_INSTRUCTIONS`] limits the memory: an instruction creates at most one value and one object.

mod call;
mod global;
mod machine;
mod reader;
mod value;

use crate::formats::fault::Fault;
use machine::Machine;
use reader::{Reader, damaged};

pub use global::Element;
pub use value::{Class, Heap, Object, StorageRef, TensorRef, Value};

/// The maximum number of instructions: a ResNet-1202 with optimizer state needs a fifth of it.
const MAX_INSTRUCTIONS: usize = 4_000_000;

struct Interpreter<'a> {
    program: Reader<'a>,
    machine: Machine<'a>,
}

/// Interprets a pickle; data after its end is ignored.
pub fn interpret(program: &[u8]) -> Result<Heap<'_>, Fault> {
    Ok(interpret_first(program)?.0)
}

/// Interprets the pickle at the beginning, and returns its length too.
pub fn interpret_first(program: &[u8]) -> Result<(Heap<'_>, usize), Fault> {
    let mut interpreter = Interpreter { program: Reader::new(program), machine: Machine::default() };
    for _ in 0..MAX_INSTRUCTIONS {
        if let Some(root) = interpreter.step()? {
            return Ok((Heap { objects: interpreter.machine.objects, root }, interpreter.program.position()));
        }
    }
    Err(Fault::Unsupported(format!("has a pickle of more than {MAX_INSTRUCTIONS} instructions")))
}

impl<'a> Interpreter<'a> {
    /// Runs an instruction; returns the result after the last one.
    fn step(&mut self) -> Result<Option<Value<'a>>, Fault> {
        let code = self.program.array::<1>()?[0];
        if code == b'.' {
            return self.machine.pop().map(Some);
        }
        if let Some(value) = self.literal(code)? {
            self.machine.push(value);
            return Ok(None);
        }
        let Interpreter { program, machine } = self;
        match code {
            0x80 => {
                let protocol = program.byte()?;
                if !(2..=5).contains(&protocol) {
                    return Err(Fault::Unsupported(format!("has a pickle with protocol {protocol}; only 2 to 5 are supported")));
                }
            }
            0x95 => drop(program.take(8)?), // FRAME
            b'(' => machine.mark(),
            b'0' => drop(machine.pop()?),
            b'1' => drop(machine.pop_mark()?),
            b'2' => {
                let value = machine.pop()?;
                machine.push(value);
                machine.push(value);
            }
            b')' => machine.make(Object::Tuple(Vec::new())),
            b't' => {
                let items = machine.pop_mark()?;
                machine.make(Object::Tuple(items));
            }
            0x85..=0x87 => {
                let items = machine.pop_many(usize::from(code - 0x84))?;
                machine.make(Object::Tuple(items));
            }
            b']' | 0x8f => machine.make(Object::List(Vec::new())), // a set is read as a list
            b'l' | 0x91 => {
                let items = machine.pop_mark()?;
                machine.make(Object::List(items));
            }
            b'a' => {
                let item = machine.pop()?;
                machine.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = machine.pop_mark()?;
                machine.append(items)?;
            }
            b'}' => machine.make(Object::Dict(Vec::new())),
            b's' => {
                let items = machine.pop_many(2)?;
                machine.set_items(items)?;
            }
            b'u' => {
                let items = machine.pop_mark()?;
                machine.set_items(items)?;
            }
            b'q' => machine.put(program.array::<1>()?[0].into())?,
            b'r' => machine.put(program.u32()?)?,
            0x94 => machine.memoize()?,
            b'h' => machine.recall(program.array::<1>()?[0].into())?,
            b'j' => machine.recall(program.u32()?)?,
            b'c' => machine.global(program.line()?, program.line()?)?,
            0x93 => match machine.pop_many(2)?[..] {
                [Value::Str(module), Value::Str(name)] => machine.global(module, name)?,
                _ => return Err(damaged("has a name that is not a string")),
            },
            b'Q' => machine.persistent()?,
            b'R' | 0x81 => {
                let args = machine.pop()?;
                let callable = machine.pop()?;
                machine.call(callable, args)?;
            }
            0x92 => {
                let arguments = machine.pop_many(3)?;
                machine.call(arguments[0], arguments[1])?;
            }
            b'i' => machine.instance_of(program.line()?, program.line()?)?,
            b'b' => machine.build()?,
            b'I' | b'L' | b'F' | b'S' | b'V' | b'P' => {
                return Err(Fault::Unsupported(
                    "was saved with pickle protocol 0 or 1; save it again without `pickle_protocol`".to_owned(),
                ));
            }
            other => {
                return Err(Fault::Damaged(format!(
                    "its pickle has the instruction {other:#04x}, which torch.save does not write"
                )));
            }
        }
        Ok(None)
    }

    /// The value in an instruction; `None` if it is of another kind.
    fn literal(&mut self, code: u8) -> Result<Option<Value<'a>>, Fault> {
        let program = &mut self.program;
        Ok(Some(match code {
            b'N' => Value::None,
            0x88 | 0x89 => Value::Bool(code == 0x88),
            b'K' => Value::Int(program.array::<1>()?[0].into()),
            b'M' => Value::Int(u16::from_le_bytes(program.array()?).into()),
            b'J' => Value::Int(i32::from_le_bytes(program.array()?).into()),
            0x8a => {
                let len = program.byte()?;
                program.long(len)?
            }
            0x8b => {
                let len = program.short_length()?;
                program.long(len)?
            }
            b'G' => program.inert(8)?,
            // `U` is a string of Python 2, which may be bytes
            0x8c | b'U' => {
                let len = program.byte()?;
                program.text(len)?
            }
            b'X' => {
                let len = program.short_length()?;
                program.text(len)?
            }
            0x8d => {
                let len = program.length()?;
                program.text(len)?
            }
            b'C' => {
                let len = program.byte()?;
                program.inert(len)?
            }
            b'B' | b'T' => {
                let len = program.short_length()?;
                program.inert(len)?
            }
            0x8e | 0x96 => {
                let len = program.length()?;
                program.inert(len)?
            }
            _ => return Ok(None),
        }))
    }
}
