//! The wire format of Protocol Buffers: the fields of a message, as slices of the file.

/// A field of a message: its number, and its value.
pub(super) struct Field<'a> {
    pub number: u64,
    pub value: Wire<'a>,
    /// The size of the whole field in bytes.
    pub len: usize,
}

/// The value of a field, whose type only the message's declaration says.
#[derive(Clone, Copy)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    /// A message, a text, bytes, or a packed list.
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    /// The bytes; none unless the field has a length.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Wire::Bytes(bytes) => bytes,
            Wire::Varint(_) | Wire::Fixed32(_) | Wire::Fixed64(_) => &[],
        }
    }
}

/// The fields of a message, up to the first invalid one. What is left then is in [`Fields::rest`].
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Fields<'a> {
        Fields(message)
    }

    /// The bytes that were not read.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

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

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let before = self.0.len();
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.take(8)?.try_into().ok()?),
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(len)?)
            }
            5 => Wire::Fixed32(self.take(4)?.try_into().ok()?),
            // groups, which no format here uses
            _ => return None,
        };
        Some(Field { number: key >> 3, value, len: before - self.0.len() })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let all = self.0;
        let field = self.field();
        if field.is_none() {
            self.0 = all;
        }
        field
    }
}
