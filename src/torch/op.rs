//! Operators in terms of PyTorch: as modules with parameters, as modules of a sequence, and as functions.

use super::activations;
use super::convolutions;
use super::error::TorchError;
use super::expr::{Arg, Expr, Role, Val};
use super::functions::{self, Functions};
use super::rearrange;
use crate::ir::{
    Checked, Conv, ConvTranspose, Epilogue, Gem, Node, NodeId, Op, Pad, PadMode, Pool, PoolKind, Reduction, Shape, Sides,
};

/// A node with everything that its PyTorch form depends on.
pub(super) struct Use<'a> {
    pub node: &'a Node,
    functions: &'a Functions,
    /// The first operand's shape.
    pub(super) x: &'a Shape,
    /// Whether it is the final layer of the network.
    classes: bool,
}

impl<'a> Use<'a> {
    pub fn of(checked: &'a Checked, functions: &'a Functions, id: NodeId, classes: bool) -> Use<'a> {
        let x = checked.graph().operands(id).first().map_or(id, |x| x.node);
        Use { node: checked.graph().node(id), functions, x: checked.shape(x), classes }
    }

    /// Number of axes after the channels.
    pub(super) fn rank(&self) -> usize {
        self.x.map().map_or(0, <[_]>::len)
    }

    pub(super) fn channels(&self) -> usize {
        self.x.channels().unwrap_or(0)
    }

    /// `nn.Conv2d`, or `nn.Conv1d` for 1-D inputs.
    pub(super) fn dims(&self, name: &str) -> String {
        format!("{name}{}d", self.rank().max(1))
    }

    fn kw(&self, key: &'static str, pair: [usize; 2], default: [usize; 2]) -> Arg {
        Arg::kw(key, Val::size(pair, self.rank()), Val::size(default, self.rank()))
    }

    fn fails(&self, reason: &str) -> TorchError {
        TorchError::Unsupported { node: self.node.name.clone(), reason: reason.to_owned() }
    }

    /// The module that holds its parameters; `None` if there are none.
    pub fn layer(&self) -> Option<Expr> {
        let out = |hint: &str, n: usize| {
            let role = if self.classes { Role::Classes } else { Role::Channels };
            Arg::plain(Expr::number(role, hint, Val::int(n)))
        };
        let bias = |bias: bool| Arg::kw("bias", Val::Bool(bias), Val::Bool(true));
        match &self.node.op {
            Op::Conv(conv) => {
                let pad = if is_even(conv.pad) { [conv.pad[0][0], conv.pad[1][0]] } else { [0, 0] };
                let groups = Expr::channels("groups", conv.groups);
                let mut args = vec![
                    Arg::plain(Expr::channels("in_channels", self.channels())),
                    out("channels", conv.filters),
                    Arg::plain(number("kernel_size", Val::size(conv.kernel, self.rank()))),
                    self.kw("stride", conv.stride, [1, 1]),
                    self.kw("dilation", conv.dilation, [1, 1]),
                    self.kw("padding", pad, [0, 0]),
                    Arg { key: Some("groups".to_owned()), value: groups, default: Some(Val::Int(1)) },
                    bias(conv.bias),
                ];
                let Some(standardize) = conv.standardize else { return Some(Expr::call(&self.dims("nn.Conv"), args)) };
                args.push(Arg::kw("eps", Val::Float(standardize.eps), Val::Float(1e-6)));
                args.extend(standardize.gain.map(|gain| Arg::key("gamma", number("gamma", Val::Float(gain)))));
                Some(Expr::call(&self.dims("StdConv"), args))
            }
            Op::ConvTranspose(conv) => Some(self.conv_transpose(conv, out("channels", conv.filters))),
            Op::Linear(linear) => {
                let args = vec![
                    Arg::plain(Expr::channels("in_features", self.channels())),
                    out("features", linear.features),
                    bias(linear.bias),
                ];
                Some(Expr::call("nn.Linear", args))
            }
            Op::ChannelConv(kernel) => Some(convolutions::channel_conv(*kernel)),
            Op::BatchNorm(norm) => {
                let args = vec![
                    Arg::plain(Expr::channels("channels", self.channels())),
                    Arg::kw("eps", Val::Float(norm.eps), Val::Float(1e-5)),
                    Arg::kw("momentum", Val::Float(norm.momentum), Val::Float(0.1)),
                ];
                Some(Expr::call(&self.dims("nn.BatchNorm"), args))
            }
            Op::SampleNorm(norm) if norm.affine => Some(self.sample_norm(norm)),
            Op::Gem(Gem { p, eps }) => Some(Self::gem(*p, *eps)),
            Op::Elementwise(function) if function.learned().next().is_some() => {
                if self.node.op.is_parameter(&self.node.name) {
                    return Some(functions::parameter(function, self.channels()));
                }
                let own = || self.functions.name(function).map(|name| functions::make(name, function, self.channels()));
                activations::prelu(function, self.channels()).or_else(own)
            }
            _ => None,
        }
    }

    /// Whether it is a call, rather than an expression.
    pub fn is_call(&self) -> bool {
        match &self.node.op {
            Op::Elementwise(function) => {
                let is_known = activations::module(function).is_some() || self.functions.name(function).is_some();
                is_known || function.program.as_clamp().is_some()
            }
            _ => true,
        }
    }

    /// The module that computes it; `None` if PyTorch has none.
    pub fn module(&self) -> Option<Expr> {
        let call = |head: &str, args: Vec<Arg>| Some(Expr::call(head, args));
        match &self.node.op {
            Op::Conv(Conv { pad, .. }) | Op::ConvTranspose(ConvTranspose { pad, .. }) if !is_even(*pad) => None,
            Op::Conv(_) | Op::ConvTranspose(_) | Op::Linear(_) | Op::BatchNorm(_) => self.layer(),
            Op::SampleNorm(norm) => Some(self.sample_norm(norm)),
            Op::Gem(Gem { p, eps }) => Some(Self::gem(*p, *eps)),
            Op::Elementwise(function) if function.learned().next().is_some() => {
                if function.values().count() == 1 && !self.node.op.is_parameter(&self.node.name) { self.layer() } else { None }
            }
            Op::Elementwise(function) if function.program.as_clamp() == Some([0.0, 6.0]) => call("nn.ReLU6", Vec::new()),
            Op::Elementwise(function) => activations::module(function),
            Op::Pool(pool) if is_plain(pool) => {
                let name = if matches!(pool.kind, PoolKind::Max { .. }) { "nn.MaxPool" } else { "nn.AvgPool" };
                call(&self.dims(name), self.pool(pool))
            }
            Op::AdaptiveAvgPool(size) => call(&self.dims("nn.AdaptiveAvgPool"), vec![self.size(*size)]),
            Op::GlobalMaxPool => call(&self.dims("nn.AdaptiveMaxPool"), vec![self.size([1, 1])]),
            Op::Flatten => call("nn.Flatten", Vec::new()),
            Op::Softmax(None) => call("nn.Softmax", vec![Arg::key("dim", Expr::text("1"))]),
            Op::Dropout(rate) => call("nn.Dropout", vec![Arg::plain(number("rate", Val::Float(*rate)))]),
            Op::Subsample(stride) => call("Subsample", vec![self.size(*stride)]),
            Op::Pad(pad) if pad.sides == [[0; 2]; 2] => {
                let [before, after] = pad.channels;
                let end = |hint, n| Arg::plain(Expr::number(Role::Other(hint), hint, Val::int(n)));
                call("PadChannels", vec![end("before", before), end("after", after)])
            }
            Op::Upsample(upsample) => {
                self.upsample_size(upsample).and_then(|size| call("nn.Upsample", self.upsample(upsample, size)))
            }
            Op::Rearrange(of) => rearrange::module(of),
            Op::Input(_)
            | Op::OverChannels(_)
            | Op::L2Norm(_)
            | Op::ChannelConv(_)
            | Op::Pool(_)
            | Op::Concat
            | Op::Softmax(Some(_))
            | Op::Pad(_)
            | Op::Crop(_)
            | Op::Slice(_)
            | Op::Train(_)
            | Op::Custom(_) => None,
        }
    }

    /// The expression for its result; `member` is the module that holds its parameters.
    pub fn result(&self, member: Expr, operands: Vec<Expr>) -> Result<Expr, TorchError> {
        let all = operands.clone();
        let mut operands = operands.into_iter();
        let (Some(x), second) = (operands.next(), operands.next()) else { return Err(self.fails("it has no operands")) };
        let with = |head: &str, x: Expr, args: Vec<Arg>| Expr::call(head, [Arg::plain(x)].into_iter().chain(args).collect());
        Ok(match &self.node.op {
            Op::Conv(Conv { epilogue, .. }) if *epilogue != Epilogue::default() => {
                return Err(self.fails("another operator is fused into it"));
            }
            Op::Conv(conv) if !is_even(conv.pad) => Expr::apply(member, with("F.pad", x, vec![self.sides(conv.pad)])),
            Op::ConvTranspose(conv) if !is_even(conv.pad) => with("F.pad", Expr::apply(member, x), vec![self.without(conv.pad)]),
            Op::Conv(_) | Op::ConvTranspose(_) | Op::Linear(_) | Op::BatchNorm(_) => Expr::apply(member, x),
            Op::SampleNorm(norm) if norm.affine => Expr::apply(member, x),
            Op::Gem(_) => Expr::apply(member, x),
            Op::SampleNorm(norm) => self.plain_norm(norm, x),
            Op::OverChannels(Reduction::Mean) => Expr::Seq(vec![x, Expr::text(".mean(1, keepdim=True)")]),
            Op::OverChannels(Reduction::Max) => Expr::Seq(vec![x, Expr::text(".max(1, keepdim=True).values")]),
            Op::L2Norm(eps) => with("F.normalize", x, vec![Arg::kw("eps", Val::Float(*eps), Val::Float(1e-12))]),
            Op::Elementwise(function) if self.node.op.is_parameter(&self.node.name) => {
                functions::with_parameter(function, member, all, self.rank())
            }
            Op::ChannelConv(_) => convolutions::along_channels(member, x, self.rank()),
            Op::Elementwise(function) if function.learned().next().is_some() => {
                Expr::Call(Box::new(member), all.into_iter().map(Arg::plain).collect())
            }
            Op::Elementwise(function) => match (activations::call(function, x), self.functions.name(function)) {
                (Some(call), _) => call,
                (None, Some(name)) => functions::call(name, all),
                (None, None) => functions::inline(function, &all),
            },
            Op::Concat => Expr::call("torch.cat", vec![Arg::plain(Expr::List(all)), Arg::key("dim", Expr::text("1"))]),
            Op::Pool(pool) if is_plain(pool) => {
                let name = if matches!(pool.kind, PoolKind::Max { .. }) { "F.max_pool" } else { "F.avg_pool" };
                with(&self.dims(name), x, self.pool(pool))
            }
            Op::Pool(pool) => self.uneven(pool, x),
            Op::AdaptiveAvgPool(size) => with(&self.dims("F.adaptive_avg_pool"), x, vec![self.size(*size)]),
            Op::GlobalMaxPool => with(&self.dims("F.adaptive_max_pool"), x, vec![self.size([1, 1])]),
            Op::Flatten => with("torch.flatten", x, vec![Arg::plain(Expr::text("1"))]),
            Op::Softmax(Some(groups)) => rearrange::grouped_softmax(*groups, x),
            Op::Softmax(None) => with("F.softmax", x, vec![Arg::key("dim", Expr::text("1"))]),
            Op::Dropout(rate) => {
                let rate = Arg::plain(number("rate", Val::Float(*rate)));
                with("F.dropout", x, vec![rate, Arg::plain(Expr::text("self.training"))])
            }
            Op::Pad(pad) if pad.mode == PadMode::Zeros => with("F.pad", x, vec![self.pad(pad)]),
            Op::Pad(pad) => {
                with("F.pad", x, vec![self.pad(pad), Arg::key("mode", Expr::text(format!("\"{}\"", pad.mode.word())))])
            }
            Op::Crop(sides) => with("F.pad", x, vec![self.without(*sides)]),
            Op::Subsample([h, w]) => {
                let step = |n: &usize| number("stride", Val::int(*n));
                let mut parts = vec![x, Expr::text("[:, :, ::")];
                if self.rank() == 2 {
                    parts.extend([step(h), Expr::text(", ::")]);
                }
                parts.extend([step(w), Expr::text("]")]);
                Expr::Seq(parts)
            }
            Op::Upsample(upsample) => {
                let like = second.map(|like| Arg::key("size", Expr::Seq(vec![like, Expr::text(".shape[2:]")])));
                let size = self.upsample_size(upsample).or(like).ok_or_else(|| self.fails("its second operand is missing"))?;
                with("F.interpolate", x, self.upsample(upsample, size))
            }
            Op::Slice(range) => {
                let [start, end] = [range.start, range.end].map(|n| number("channel", Val::int(n)));
                Expr::Seq(vec![x, Expr::text("[:, "), start, Expr::text(":"), end, Expr::text("]")])
            }
            Op::Rearrange(of) => rearrange::call(of, self.x, x),
            Op::Input(_) | Op::Train(_) => return Err(self.fails("it is a training operator")),
            Op::Custom(_) => return Err(self.fails("it is not an operator of the language")),
        })
    }

    fn size(&self, size: [usize; 2]) -> Arg {
        Arg::plain(number("size", Val::size(size, self.rank())))
    }

    fn pool(&self, pool: &Pool) -> Vec<Arg> {
        let mut args = vec![
            Arg::plain(number("kernel_size", Val::size(pool.kernel, self.rank()))),
            self.kw("stride", pool.stride, pool.kernel),
            self.kw("padding", [pool.pad[0][0], pool.pad[1][0]], [0, 0]),
            self.kw("dilation", pool.dilation(), [1, 1]),
            Arg::kw("ceil_mode", Val::Bool(pool.ceil), Val::Bool(false)),
        ];
        if let PoolKind::Avg { count_pad } = pool.kind {
            args.push(Arg::kw("count_include_pad", Val::Bool(count_pad), Val::Bool(true)));
        }
        args
    }

    /// A pool with padding that PyTorch's pools do not support: it is padded in a separate step.
    fn uneven(&self, pool: &Pool, x: Expr) -> Expr {
        let mut args = vec![
            Arg::plain(number("kernel_size", Val::size(pool.kernel, self.rank()))),
            Arg::plain(number("stride", Val::size(pool.stride, self.rank()))),
        ];
        let text = |key: &str, value: bool| Arg::key(key, Expr::text(Val::Bool(value).to_string()));
        let (head, x) = match pool.kind {
            PoolKind::Max { .. } if !pool.ceil => {
                args.push(self.kw("dilation", pool.dilation(), [1, 1]));
                let value = Arg::key("value", Expr::text(Val::Float(f64::NEG_INFINITY).to_string()));
                (self.dims("F.max_pool"), Expr::call("F.pad", vec![Arg::plain(x), self.sides(pool.pad), value]))
            }
            PoolKind::Max { .. } => {
                args.push(Arg { key: Some("pad".to_owned()), ..self.sides(pool.pad) });
                args.push(self.kw("dilation", pool.dilation(), [1, 1]));
                ("max_pool_ceil".to_owned(), x)
            }
            PoolKind::Avg { count_pad } => {
                args.push(Arg { key: Some("pad".to_owned()), ..self.sides(pool.pad) });
                args.extend([text("ceil_mode", pool.ceil), text("count_include_pad", count_pad)]);
                ("avg_pool".to_owned(), x)
            }
        };
        Expr::call(&head, [Arg::plain(x)].into_iter().chain(args).collect())
    }

    /// The axes in PyTorch's order for padding: the last one first.
    fn axes(&self) -> impl Iterator<Item = usize> + use<> {
        (2 - self.rank().clamp(1, 2)..2).rev()
    }

    fn sides(&self, sides: Sides) -> Arg {
        let list: Vec<[i64; 2]> = self.axes().map(|axis| sides[axis].map(|n| n as i64)).collect();
        Arg::plain(tuple(&list))
    }

    /// `nn.ConvTranspose2d`. Padding that is not the same on both sides is cut off afterwards.
    fn conv_transpose(&self, conv: &ConvTranspose, filters: Arg) -> Expr {
        let pad = if is_even(conv.pad) { [conv.pad[0][0], conv.pad[1][0]] } else { [0, 0] };
        let groups = Expr::channels("groups", conv.groups);
        let args = vec![
            Arg::plain(Expr::channels("in_channels", self.channels())),
            filters,
            Arg::plain(number("kernel_size", Val::size(conv.kernel, self.rank()))),
            self.kw("stride", conv.stride, [1, 1]),
            self.kw("dilation", conv.dilation, [1, 1]),
            self.kw("padding", pad, [0, 0]),
            self.kw("output_padding", conv.output_padding, [0, 0]),
            Arg { key: Some("groups".to_owned()), value: groups, default: Some(Val::Int(1)) },
            Arg::kw("bias", Val::Bool(conv.bias), Val::Bool(true)),
        ];
        Expr::call(&self.dims("nn.ConvTranspose"), args)
    }

    /// The padding that takes off these sides.
    fn without(&self, sides: Sides) -> Arg {
        let list: Vec<[i64; 2]> = self.axes().map(|axis| sides[axis].map(|n| -(n as i64))).collect();
        Arg::plain(tuple(&list))
    }

    fn pad(&self, pad: &Pad) -> Arg {
        let mut list: Vec<[i64; 2]> = self.axes().map(|axis| pad.sides[axis].map(|n| n as i64)).collect();
        if pad.channels != [0, 0] {
            list.push(pad.channels.map(|n| n as i64));
        }
        Arg::plain(tuple(&list))
    }
}

pub(super) fn number(role: &'static str, value: Val) -> Expr {
    Expr::number(Role::Other(role), role, value)
}

/// Padding before and after each axis.
fn tuple(list: &[[i64; 2]]) -> Expr {
    let mut parts = vec![Expr::text("(")];
    for (i, n) in list.iter().flatten().enumerate() {
        if i > 0 {
            parts.push(Expr::text(", "));
        }
        parts.push(number("padding", Val::Int(*n)));
    }
    parts.push(Expr::text(")"));
    Expr::Seq(parts)
}

fn is_even(sides: Sides) -> bool {
    sides.iter().all(|[a, b]| a == b)
}

/// Whether PyTorch's pools support this padding: equal on both sides, and at most half the kernel.
fn is_plain(pool: &Pool) -> bool {
    is_even(pool.pad) && (0..2).all(|axis| 2 * pool.pad[axis][0] <= pool.kernel[axis])
}
