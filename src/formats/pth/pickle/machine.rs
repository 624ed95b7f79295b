//! The stack, the memo and the objects of the interpreter.

use std::collections::HashMap;

use super::global::{Global, runs_code};
use super::reader::damaged;
use super::value::{Class, Instance, Object, Value};
use crate::formats::fault::Fault;

#[derive(Default)]
pub(super) struct Machine<'a> {
    stack: Vec<Value<'a>>,
    /// Lengths of the stack, below which values belong to an enclosing object.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    pub objects: Vec<Object<'a>>,
    /// The number of items that calls have copied.
    pub copied: usize,
}

impl<'a> Machine<'a> {
    pub fn push(&mut self, value: Value<'a>) {
        self.stack.push(value);
    }

    pub fn make(&mut self, object: Object<'a>) {
        self.objects.push(object);
        self.stack.push(Value::Object(self.objects.len() - 1));
    }

    pub fn pop(&mut self) -> Result<Value<'a>, Fault> {
        // values below a mark belong to the enclosing object
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(damaged("pops from an empty stack"));
        }
        self.stack.pop().ok_or_else(|| damaged("pops from an empty stack"))
    }

    pub fn mark(&mut self) {
        self.marks.push(self.stack.len());
    }

    pub fn pop_mark(&mut self) -> Result<Vec<Value<'a>>, Fault> {
        let mark = self.marks.pop().ok_or_else(|| damaged("lacks a mark"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    pub fn pop_many(&mut self, n: usize) -> Result<Vec<Value<'a>>, Fault> {
        let mut list = Vec::with_capacity(n);
        for _ in 0..n {
            list.push(self.pop()?);
        }
        list.reverse();
        Ok(list)
    }

    /// The object that items are put into; `None` if it is inert, so that they are not needed.
    fn top(&mut self) -> Result<Option<&mut Object<'a>>, Fault> {
        match self.stack.last() {
            Some(&Value::Object(index)) => {
                self.objects.get_mut(index).map(Some).ok_or_else(|| damaged("has an invalid reference"))
            }
            Some(Value::Inert) => Ok(None),
            _ => Err(damaged("fills a value that is neither a list nor a dictionary")),
        }
    }

    /// Memoizes under the next free index.
    pub fn memoize(&mut self) -> Result<(), Fault> {
        let index = u32::try_from(self.memo.len()).map_err(|_| damaged("has too many memo entries"))?;
        self.put(index)
    }

    pub fn put(&mut self, index: u32) -> Result<(), Fault> {
        let value = *self.stack.last().ok_or_else(|| damaged("memoizes from an empty stack"))?;
        self.memo.insert(index, value);
        Ok(())
    }

    pub fn recall(&mut self, index: u32) -> Result<(), Fault> {
        let value = *self.memo.get(&index).ok_or_else(|| damaged("reads an unknown memo entry"))?;
        self.push(value);
        Ok(())
    }

    /// Appends to a list. Those of an unknown class are not kept.
    pub fn append(&mut self, items: Vec<Value<'a>>) -> Result<(), Fault> {
        match self.top()? {
            Some(Object::List(list)) => list.extend(items),
            Some(Object::Instance(_)) | None => {}
            _ => return Err(damaged("appends to a value that is not a list")),
        }
        Ok(())
    }

    /// Sets items of a dictionary.
    pub fn set_items(&mut self, items: Vec<Value<'a>>) -> Result<(), Fault> {
        let (pairs, rest) = items.as_chunks::<2>();
        let pairs = pairs.iter().map(|&[key, value]| (key, value));
        match self.top()? {
            Some(Object::Dict(dict) | Object::Instance(Instance { items: dict, .. })) if rest.is_empty() => dict.extend(pairs),
            None if rest.is_empty() => {}
            _ => return Err(damaged("sets items of a value that is not a dictionary")),
        }
        Ok(())
    }

    /// Pushes what stands for a class or function.
    pub fn global(&mut self, module: &'a str, name: &'a str) -> Result<(), Fault> {
        if runs_code(module, name) {
            return Err(Fault::Refused(format!("{module}.{name}").escape_debug().to_string()));
        }
        match Global::find(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => self.make(Object::Class(Class { module, name })),
        }
        Ok(())
    }

    /// Sets the attributes of an object. They are kept only for an unknown class: those of an ordered dictionary are its version, and
    /// those of a tensor or parameter are what Python code has added.
    pub fn build(&mut self) -> Result<(), Fault> {
        let state = self.pop()?;
        if let Some(Object::Instance(instance)) = self.top()? {
            instance.state = state
        }
        Ok(())
    }
}
