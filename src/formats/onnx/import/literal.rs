//! Lists and mappings of strings and whole numbers in Python's notation, as `str()` writes them.

use serde_json::{Map, Value};

/// The value of a literal; `None` if it is another or nested deeper than a list of values. Keys become strings; the last of equal ones
/// counts.
pub(super) fn python(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text };
    let value = match reader.symbol()? {
        '[' => reader.list(']')?,
        '(' => reader.list(')')?,
        '{' => reader.mapping()?,
        _ => return None,
    };
    reader.skip();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn character(&mut self) -> Option<char> {
        let first = self.rest.chars().next()?;
        self.rest = &self.rest[first.len_utf8()..];
        Some(first)
    }

    /// The next character that is no space.
    fn symbol(&mut self) -> Option<char> {
        self.skip();
        self.character()
    }

    /// Reads a character, if it comes next.
    fn takes(&mut self, symbol: char) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(symbol);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn list(&mut self, end: char) -> Option<Value> {
        let mut list = Vec::new();
        while !self.takes(end) {
            list.push(self.scalar()?);
            if !self.takes(',') {
                return self.takes(end).then_some(Value::Array(list));
            }
        }
        Some(Value::Array(list))
    }

    fn mapping(&mut self) -> Option<Value> {
        let mut map = Map::new();
        while !self.takes('}') {
            let key = match self.scalar()? {
                Value::String(key) => key,
                number => number.to_string(),
            };
            if !self.takes(':') {
                return None;
            }
            map.insert(key, self.scalar()?);
            if !self.takes(',') {
                return self.takes('}').then_some(Value::Object(map));
            }
        }
        Some(Value::Object(map))
    }

    /// A string or a whole number.
    fn scalar(&mut self) -> Option<Value> {
        self.skip();
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            let (number, rest) = self.rest.split_at(digits);
            self.rest = rest;
            return Some(number.parse::<u64>().ok()?.into());
        }
        let quote = self.character().filter(|c| matches!(c, '\'' | '"'))?;
        let mut text = String::new();
        loop {
            match self.character()? {
                c if c == quote => return Some(text.into()),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let digits = match self.character()? {
            'n' => return Some('\n'),
            't' => return Some('\t'),
            'r' => return Some('\r'),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            c @ ('\\' | '\'' | '"') => return Some(c),
            _ => return None,
        };
        let code = self.rest.get(..digits)?;
        self.rest = &self.rest[digits..];
        char::from_u32(u32::from_str_radix(code, 16).ok()?)
    }
}
