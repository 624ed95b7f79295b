//! What the calls in a pickle result in. Nothing is called: the result depends only on the name and the arguments.

use super::global::Global;
use super::machine::Machine;
use super::reader::damaged;
use super::value::{Instance, Object, StorageRef, TensorRef, Value};
use crate::formats::fault::Fault;

/// The maximum number of dimensions of a tensor.
const MAX_RANK: usize = 16;

/// The maximum number of items that dictionaries copy from lists.
const MAX_COPIES: usize = 4_000_000;

/// The number of flags of a tensor that are looked at; PyTorch has two, `conj` and `neg`.
const MAX_FLAGS: usize = 8;

impl<'a> Machine<'a> {
    fn tuple(&self, value: Value<'a>) -> Result<&[Value<'a>], Fault> {
        match value {
            Value::Object(index) => match self.objects.get(index) {
                Some(Object::Tuple(items) | Object::List(items)) => Ok(items),
                _ => Err(damaged("lacks a tuple where one is needed")),
            },
            _ => Err(damaged("lacks a tuple where one is needed")),
        }
    }

    /// `('storage', torch.FloatStorage, '0', 'cpu', 432)`. The format before 1.6 has a sixth entry, for storages that are views of another,
    /// and `('module', CLASS, FILE, SOURCE)` for the class of a module.
    pub fn persistent(&mut self) -> Result<(), Fault> {
        let id = self.pop()?;
        let (element, key, len, view) = match *self.tuple(id)? {
            [
                Value::Str("storage"),
                Value::Global(Global::Storage(element)),
                Value::Str(key),
                _,
                Value::Int(len),
                ref view @ ..,
            ] => (element, key, len, view),
            [Value::Str("module"), class, ..] => {
                self.push(class);
                return Ok(());
            }
            _ => return Err(damaged("has an unknown description of a storage")),
        };
        if !matches!(view, [] | [Value::None, ..]) {
            return Err(Fault::Unsupported(
                "has storages that are views of others, as written by PyTorch before 0.4; save it again".into(),
            ));
        }
        let len = usize::try_from(len).map_err(|_| damaged("has a storage of negative length"))?;
        self.make(Object::Storage(StorageRef { element, key, len }));
        Ok(())
    }

    /// The result of calling a name with arguments.
    pub fn call(&mut self, callable: Value<'a>, args: Value<'a>) -> Result<(), Fault> {
        let global = match callable {
            Value::Global(global) => global,
            Value::Object(index) => return self.instantiate(index),
            _ => return Err(damaged("calls a value that is not callable")),
        };
        match (global, self.tuple(args)?) {
            (Global::OrderedDict | Global::Counter | Global::Dict, []) => self.make(Object::Dict(Vec::new())),
            (Global::DefaultDict, [] | [_]) => self.make(Object::Dict(Vec::new())),
            // a counter is built from a dictionary that nothing else uses
            (Global::Counter | Global::Dict, &[Value::Object(dict)])
                if matches!(self.objects.get(dict), Some(Object::Dict(_))) =>
            {
                self.push(Value::Object(dict));
            }
            (Global::OrderedDict | Global::Dict, &[list]) if self.tuple(list).is_ok() => {
                let pairs: Result<Vec<_>, _> = self.tuple(list)?.iter().map(|&pair| self.pair(pair)).collect();
                let pairs = pairs?;
                self.count_copies(pairs.len())?;
                self.make(Object::Dict(pairs));
            }
            (Global::Collection, []) => self.make(Object::List(Vec::new())),
            (Global::Collection, &[list]) if self.tuple(list).is_ok() => self.push(list),
            // a lazy view, whose values differ from those in the storage
            (Global::RebuildTensor, &[_, _, _, _, _, _, metadata, ..]) if self.is_lazy(metadata) => {
                self.make(Object::Unread("a lazily negated or conjugated view (save `tensor.resolve_neg().resolve_conj()`)"));
            }
            (Global::RebuildTensor, &[storage, offset, shape, strides, ..]) => self.tensor(storage, offset, shape, strides)?,
            (Global::RebuildFromTensor, &[tensor, ..]) => self.push(tensor),
            (Global::RebuildUnread(_), &[_, _, _, _, _, _, Value::Global(Global::Float8), ..]) => {
                self.make(Object::Unread("float8 numbers"));
            }
            (Global::RebuildUnread(what), _) => self.make(Object::Unread(what)),
            // recurses only once, because the inner call may not be of this kind
            (Global::RebuildFromType, &[Value::Global(inner), _, args, ..]) if inner != Global::RebuildFromType => {
                self.call(Value::Global(inner), args)?;
            }
            (Global::Size, &[sizes]) => self.push(sizes),
            (Global::Plain, _) => self.push(Value::Inert),
            (Global::RebuildTensor | Global::RebuildFromTensor | Global::RebuildFromType, _) => {
                return Err(Fault::Damaged(format!("its pickle calls {global:?} with unexpected arguments")));
            }
            // a dictionary of what an unknown function results in
            _ => self.push(Value::Inert),
        }
        Ok(())
    }

    /// Counts items that a call copies: one instruction may copy a long list, and there may be many.
    fn count_copies(&mut self, items: usize) -> Result<(), Fault> {
        self.copied = self.copied.saturating_add(items);
        if self.copied > MAX_COPIES {
            return Err(Fault::Unsupported(format!("has a pickle that copies more than {MAX_COPIES} items")));
        }
        Ok(())
    }

    /// The result of an unknown class or function: a placeholder.
    fn instantiate(&mut self, callable: usize) -> Result<(), Fault> {
        let class = match self.objects.get(callable) {
            Some(&Object::Class(class) | &Object::Instance(Instance { class, .. })) => class,
            _ => return Err(damaged("calls a value that is not callable")),
        };
        self.make(Object::Instance(Instance { class, state: Value::None, items: Vec::new() }));
        Ok(())
    }

    /// The object of a class that is named in the instruction, as Python 2 wrote it.
    pub fn instance_of(&mut self, module: &'a str, name: &'a str) -> Result<(), Fault> {
        let args = self.pop_mark()?;
        self.make(Object::Tuple(args));
        let args = self.pop()?;
        self.global(module, name)?;
        let class = self.pop()?;
        self.call(class, args)
    }

    /// Whether a tensor's metadata sets a flag, such as PyTorch's negative bit.
    fn is_lazy(&self, metadata: Value<'a>) -> bool {
        let Value::Object(index) = metadata else { return false };
        match self.objects.get(index) {
            Some(Object::Dict(items)) => items.iter().take(MAX_FLAGS).any(|(_, flag)| matches!(flag, Value::Bool(true))),
            _ => false,
        }
    }

    fn pair(&self, pair: Value<'a>) -> Result<(Value<'a>, Value<'a>), Fault> {
        match *self.tuple(pair)? {
            [key, value] => Ok((key, value)),
            _ => Err(damaged("builds a dictionary from values that are not pairs")),
        }
    }

    fn sizes(&self, value: Value<'a>) -> Result<Vec<usize>, Fault> {
        let items = self.tuple(value)?;
        if items.len() > MAX_RANK {
            return Err(Fault::Unsupported(format!("has a tensor of {} dimensions; the limit is {MAX_RANK}", items.len())));
        }
        let size = |&item| match item {
            Value::Int(n) => usize::try_from(n).map_err(|_| damaged("has a tensor with a negative size or stride")),
            _ => Err(damaged("has a tensor with a size that is not an integer")),
        };
        items.iter().map(size).collect()
    }

    fn tensor(&mut self, storage: Value<'a>, offset: Value<'a>, shape: Value<'a>, strides: Value<'a>) -> Result<(), Fault> {
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        let (Value::Object(storage), Value::Int(offset)) = (storage, offset) else {
            return Err(damaged("has a tensor without storage"));
        };
        if shape.len() != strides.len() || !matches!(self.objects.get(storage), Some(Object::Storage(_))) {
            return Err(damaged("has a tensor with an inconsistent description"));
        }
        let offset = usize::try_from(offset).map_err(|_| damaged("has a tensor with a negative offset"))?;
        self.make(Object::Tensor(TensorRef { storage, offset, shape, strides }));
        Ok(())
    }
}
