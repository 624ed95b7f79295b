//! Expressions of Python, as far as networks are written with them.

/// An expression with its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr<'a> {
    pub text: &'a str,
    pub kind: Kind<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind<'a> {
    Name(&'a str),
    Number(&'a str),
    /// A text, without its quotes.
    Text(&'a str),
    /// `self.conv1`.
    Attribute(Box<Expr<'a>>, &'a str),
    Call(Box<Expr<'a>>, Vec<Argument<'a>>),
    /// `x[0]`, `x.shape[-2:]`: what is indexed, and the text in brackets.
    Index(Box<Expr<'a>>, &'a str),
    /// A tuple or list.
    Sequence(Vec<Expr<'a>>),
    Negative(Box<Expr<'a>>),
    Binary(Box<Expr<'a>>, &'a str, Box<Expr<'a>>),
}

/// An argument of a call, with the name of its parameter if that is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument<'a> {
    pub key: Option<&'a str>,
    pub value: Expr<'a>,
}

impl<'a> Expr<'a> {
    /// A name without dots.
    pub fn name(&self) -> Option<&'a str> {
        match self.kind {
            Kind::Name(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it is a sum, product or the like.
    pub fn is_operation(&self) -> bool {
        matches!(self.kind, Kind::Binary(..))
    }

    /// The number, with a sign or without.
    pub fn whole(&self) -> Option<i64> {
        match &self.kind {
            Kind::Number(text) => text.parse().ok(),
            Kind::Negative(inner) => inner.whole()?.checked_neg(),
            _ => None,
        }
    }

    /// The word of a name or text: `'same'`, `None`.
    pub fn word(&self) -> Option<&'a str> {
        match self.kind {
            Kind::Name(word) | Kind::Text(word) => Some(word),
            _ => None,
        }
    }

    /// The whole numbers of a tuple, or the only one.
    pub fn wholes(&self) -> Option<Vec<i64>> {
        match &self.kind {
            Kind::Sequence(items) => items.iter().map(Expr::whole).collect(),
            _ => Some(vec![self.whole()?]),
        }
    }

    /// `nn.Conv2d` of a path of names, as its parts.
    pub fn path(&self) -> Option<Vec<&'a str>> {
        let mut parts = Vec::new();
        let mut at = self;
        loop {
            match &at.kind {
                Kind::Name(name) => {
                    parts.push(*name);
                    parts.reverse();
                    return Some(parts);
                }
                Kind::Attribute(of, name) => {
                    parts.push(*name);
                    at = of;
                }
                _ => return None,
            }
        }
    }
}
