//! Layers that join values, split them, or give them other axes.

use super::super::layer_list::Flow;
use super::importer::{Imported, Importer};
use super::net::Layer;
use crate::elementwise::Binary;
use crate::ir::{Broadcast, Elementwise, Epilogue, Linear, Op, Rearrange};

impl Importer<'_> {
    /// A sum, product or maximum of values.
    pub(super) fn eltwise(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let param = layer.param("eltwise_param");
        let flows = self.flows(layer, 2)?;
        if let Some(other) = flows.iter().find(|flow| flow.sizes != flows[0].sizes) {
            return Err(format!("it joins {} and {}", flows[0].shown(), other.shown()));
        }
        let operands: Vec<&Flow> = flows.iter().collect();
        let coefficients = param.floats("coeff")?;
        if !coefficients.is_empty() && coefficients.len() != operands.len() {
            return Err(format!("it has {} `coeff` for {} values", coefficients.len(), operands.len()));
        }
        match param.word("operation").unwrap_or("SUM") {
            "SUM" | "1" if coefficients.iter().all(|&value| value == 1.0) => {
                let add = Elementwise::add(operands.len()).ok_or("it has too many operands")?;
                self.build.add(add, layer.name, &operands)
            }
            "SUM" | "1" => self.build.compute("weighted_sum", layer.name, &operands, |b, x| {
                let mut sum = None;
                for (&x, &times) in x.iter().zip(&coefficients) {
                    let times = b.constant(times);
                    let product = b.binary(Binary::Mul, times, x);
                    sum = Some(sum.map_or(product, |sum| b.binary(Binary::Add, sum, product)));
                }
                sum.unwrap_or_default()
            }),
            "PROD" | "0" if operands.len() == 2 => self.build.add(Elementwise::mul(Broadcast::Full), layer.name, &operands),
            "PROD" | "0" => self.chain(layer, "product", Binary::Mul, &operands),
            "MAX" | "2" => self.chain(layer, "maximum", Binary::Max, &operands),
            other => Err(format!("its `operation` is `{other}`, but must be `PROD`, `SUM` or `MAX`")),
        }
    }

    fn chain(&mut self, layer: &Layer<'_>, word: &str, op: Binary, operands: &[&Flow]) -> Imported<Flow> {
        self.build.compute(word, layer.name, operands, |b, x| {
            let joined = x.iter().copied().reduce(|joined, next| b.binary(op, joined, next));
            joined.unwrap_or_default()
        })
    }

    /// Values one after the other along the channels.
    pub(super) fn concat(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let param = layer.param("concat_param");
        if param.int("axis", 1)? != 1 || param.int("concat_dim", 1)? != 1 {
            return Err("it joins along another axis than the channels".to_owned());
        }
        let flows = self.flows(layer, 1)?;
        match &flows[..] {
            [only] => Ok(only.clone()),
            _ => self.build.add(Op::Concat, layer.name, &flows.iter().collect::<Vec<_>>()),
        }
    }

    /// The channels in several parts.
    pub(super) fn slice(&mut self, layer: &Layer<'_>) -> Imported<Vec<Flow>> {
        let x = self.only(layer)?;
        let param = layer.param("slice_param");
        if param.int("axis", 1)? != 1 || param.int("slice_dim", 1)? != 1 {
            return Err("it splits along another axis than the channels".to_owned());
        }
        let (channels, parts) = (x.channels(), layer.tops.len());
        let mut ends = param.sizes("slice_point")?;
        if ends.is_empty() && parts > 0 && channels % parts == 0 {
            ends = (1..parts).map(|part| part * (channels / parts)).collect();
        }
        ends.push(channels);
        if ends.len() != parts || ends[0] == 0 || ends.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(format!("its {parts} parts of {channels} channels end at {ends:?}"));
        }
        let mut start = 0;
        let mut part = |end: usize| {
            let range = std::mem::replace(&mut start, end)..end;
            self.build.add(Op::Slice(range), layer.name, &[&x])
        };
        ends.into_iter().map(&mut part).collect()
    }

    pub(super) fn flatten(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let param = layer.param("flatten_param");
        let last = param.int("end_axis", -1)?;
        if param.int("axis", 1)? != 1 || last != -1 && last != x.sizes.len() as i64 {
            return Err("it flattens some axes only".to_owned());
        }
        if x.sizes.len() == 1 { Ok(x) } else { self.build.add(Op::Flatten, layer.name, &[&x]) }
    }

    /// The same values with other sizes: those of the batch and one or three more.
    pub(super) fn reshape(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let param = layer.param("reshape_param");
        if (param.int("axis", 0)?, param.int("num_axes", -1)?) != (0, -1) {
            return Err("it gives other sizes to some axes only".to_owned());
        }
        let dims = param.message("shape").words("dim").map(str::parse).collect::<Result<Vec<i64>, _>>();
        let dims = dims.map_err(|_| "its `dim` are no numbers")?;
        // 0 is the size of the same axis, and -1 what the others leave
        let size = |axis: usize| match dims[axis] {
            0 => x.sizes.get(axis - 1).copied().map(Some).ok_or_else(|| format!("it has no axis {axis} to keep")),
            -1 => Ok(None),
            size => usize::try_from(size).map(Some).map_err(|_| format!("its size {size} is negative")),
        };
        match dims[..] {
            [-1..=1, features] if features == -1 || usize::try_from(features) == Ok(x.values()) => {
                self.build.flat(&x, layer.name)
            }
            [-1..=1, _, _, _] => {
                let sizes = [size(1)?, size(2)?, size(3)?];
                self.build.add(Op::Rearrange(Rearrange::Reshape(sizes)), layer.name, &[&x])
            }
            _ => Err(format!("it makes {dims:?} of {}", x.shown())),
        }
    }

    /// A fully connected layer, which flattens what it reads.
    pub(super) fn inner_product(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let param = layer.param("inner_product_param");
        let features = param.size("num_output")?.filter(|&n| n > 0).ok_or("it has no `num_output`")?;
        if param.int("axis", 1)? != 1 || param.flag("transpose", false)? {
            return Err("its `axis` is not 1, or its weight is transposed".to_owned());
        }
        let bias = param.flag("bias_term", true)?;
        let x = self.build.flat(&x, layer.name)?;
        let y = self.build.add(Op::Linear(Linear { features, bias, epilogue: Epilogue::default() }), layer.name, &[&x])?;
        self.weight_and_bias(layer, &y, &[features, x.values()], bias.then_some(features))?;
        Ok(y)
    }

    pub(super) fn softmax(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        if layer.param("softmax_param").int("axis", 1)? != 1 {
            return Err("it normalizes over another axis than the channels".to_owned());
        }
        self.build.add(Op::Softmax(None), layer.name, &[&x])
    }

    /// Groups of channels, interleaved: the layer of the release of ShuffleNet.
    pub(super) fn shuffle(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let groups = layer.param("shuffle_channel_param").size("group")?.unwrap_or(1);
        self.build.add(Op::Rearrange(Rearrange::Shuffle(groups)), layer.name, &[&x])
    }
}
