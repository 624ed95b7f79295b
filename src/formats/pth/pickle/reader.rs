//! Reads a pickle's instructions and their arguments.

use super::value::Value;
use crate::formats::fault::Fault;

pub(super) fn damaged(reason: &str) -> Fault {
    Fault::Damaged(format!("its pickle {reason}"))
}

/// A pickle, and how much of it is read.
pub(super) struct Reader<'a> {
    program: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(program: &'a [u8]) -> Reader<'a> {
        Reader { program, at: 0 }
    }

    /// The number of bytes that are read.
    pub fn position(&self) -> usize {
        self.at
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(len);
        let bytes = end.and_then(|end| self.program.get(self.at..end)).ok_or_else(|| damaged("is truncated"))?;
        self.at += len;
        Ok(bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| damaged("is truncated"))
    }

    pub fn byte(&mut self) -> Result<usize, Fault> {
        Ok(self.array::<1>()?[0].into())
    }

    pub fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A length in four bytes.
    pub fn short_length(&mut self) -> Result<usize, Fault> {
        usize::try_from(self.u32()?).map_err(|_| damaged("is truncated"))
    }

    /// A length in eight bytes.
    pub fn length(&mut self) -> Result<usize, Fault> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| damaged("is truncated"))
    }

    pub fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = self.program.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|&b| b == b'\n').ok_or_else(|| damaged("is truncated"))?;
        let line = self.take(len)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| damaged("has a name that is not text"))
    }

    /// A string. Python also writes surrogates, as in the name of a file: such a string is inert.
    pub fn text(&mut self, len: usize) -> Result<Value<'a>, Fault> {
        Ok(std::str::from_utf8(self.take(len)?).map_or(Value::Inert, Value::Str))
    }

    /// Bytes that weights do not need.
    pub fn inert(&mut self, len: usize) -> Result<Value<'a>, Fault> {
        self.take(len)?;
        Ok(Value::Inert)
    }

    /// A little-endian integer of any length; inert if it has more than 64 bits.
    pub fn long(&mut self, len: usize) -> Result<Value<'a>, Fault> {
        let bytes = self.take(len)?;
        if len > 8 {
            return Ok(Value::Inert);
        }
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..len].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(wide)))
    }
}
