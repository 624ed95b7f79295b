//! What a pickle builds: plain values, and objects that refer to each other by index into one heap. So nested and cyclic pickles need no
//! recursion, here or when they are dropped.

use std::fmt;

use super::global::{Element, Global};

/// A value on the stack.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// None.
    None,
    /// A value that weights do not need (bytes, floats, huge integers).
    Inert,
    Bool(bool),
    Int(i64),
    Str(&'a str),
    Global(Global),
    Object(usize),
}

/// A storage as the pickle describes it.
#[derive(Debug)]
pub struct StorageRef<'a> {
    pub element: Element,
    pub key: &'a str,
    pub len: usize,
}

/// A tensor as the pickle describes it. It has as many strides as dimensions, in elements.
#[derive(Debug)]
pub struct TensorRef {
    pub storage: usize,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// A class or function that is not known. Only its name is.
#[derive(Clone, Copy, Debug)]
pub struct Class<'a> {
    pub module: &'a str,
    pub name: &'a str,
}

impl fmt::Display for Class<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module.escape_debug(), self.name.escape_debug())
    }
}

/// What stands for the result of an unknown class or function, which is not run: an `argparse.Namespace`, a NumPy array.
#[derive(Debug)]
pub struct Instance<'a> {
    pub class: Class<'a>,
    /// What Python would set its attributes from.
    pub state: Value<'a>,
    /// Its items, if the class is a dictionary.
    pub items: Vec<(Value<'a>, Value<'a>)>,
}

#[derive(Debug)]
pub enum Object<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Storage(StorageRef<'a>),
    Tensor(TensorRef),
    /// A tensor whose values are not read, with a description.
    Unread(&'static str),
    Class(Class<'a>),
    Instance(Instance<'a>),
}

/// The result of a pickle.
#[derive(Debug)]
pub struct Heap<'a> {
    pub(super) objects: Vec<Object<'a>>,
    pub root: Value<'a>,
}

impl<'a> Heap<'a> {
    pub fn get(&self, value: Value<'a>) -> Option<&Object<'a>> {
        match value {
            Value::Object(index) => self.objects.get(index),
            _ => None,
        }
    }

    /// The items of a dictionary, whatever its class.
    pub fn items(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.get(value)? {
            Object::Dict(items) => Some(items),
            Object::Instance(instance) if !instance.items.is_empty() => Some(&instance.items),
            _ => None,
        }
    }

    /// The value of a key.
    pub fn item(&self, dict: Value<'a>, key: &str) -> Option<Value<'a>> {
        let found = self.items(dict)?.iter().rev().find(|(name, _)| matches!(name, Value::Str(name) if *name == key));
        found.map(|&(_, value)| value)
    }

    /// All storages in the pickle.
    pub fn storages(&self) -> impl Iterator<Item = &StorageRef<'a>> {
        self.objects.iter().filter_map(|object| if let Object::Storage(storage) = object { Some(storage) } else { None })
    }

    pub fn storage(&self, tensor: &TensorRef) -> Option<&StorageRef<'a>> {
        match self.objects.get(tensor.storage) {
            Some(Object::Storage(storage)) => Some(storage),
            _ => None,
        }
    }
}
