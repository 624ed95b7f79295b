//! Lowers the operators of training steps.

use super::{Lowering, residual};
use crate::ir::{Conv, Node, NodeId, Pad, Train, Value};
use crate::kernels::{ConvShape, Layout};
use crate::plan::{
    BufferId, ConvStrategy, FusedFunction, Kernel, PlanError, Step, TrainKernel, Weight, WeightId, WeightLayout, WeightSource,
    strategy,
};

impl Lowering<'_> {
    /// Lowers a training operator. The gradient of a convolution's input becomes a convolution itself.
    pub(super) fn train(&mut self, id: NodeId, op: &Train) -> Result<(), PlanError> {
        let graph = self.network.graph();
        let node = graph.node(id);
        let operands = graph.operands(id);
        if let Train::ConvGradInput { conv, input } = op {
            return self.conv_grad_input(id, conv, *input, &operands, None);
        }
        if let Train::UpsampleGrad { upsample, input } = op
            && self.interpolate_grad(id, upsample, *input, operands[0])?
        {
            return Ok(());
        }
        let act = op.epilogue().and_then(|epilogue| epilogue.act.as_ref());
        let after = act.filter(|act| !self.fuses(act, self.shape(id.into()).ok().and_then(|shape| shape.get(1).copied())));
        let kernel = TrainKernel {
            act: act.filter(|_| after.is_none()).map(|act| FusedFunction::new(act)),
            op: op.clone(),
            operands: operands.iter().map(|&o| self.shape(o)).collect::<Result<_, _>>()?,
            per_sample: operands.iter().map(|&o| self.is_per_sample(o)).collect(),
            result: self.shape(id.into())?,
            yields_per_sample: self.is_per_sample(id.into()),
            batch: self.plan.options.batch,
            layout: Layout::Nchw,
            plain: false,
            precise: false,
        };
        let inputs = operands.iter().map(|&o| self.operand(o)).collect::<Result<Vec<_>, _>>()?;
        let weights = self.weights(node)?;
        self.train_step(&node.name, kernel, inputs, weights, id)?;
        after.map_or(Ok(()), |function| self.own_step(id.into(), function))
    }

    fn train_step(
        &mut self,
        name: &str,
        kernel: TrainKernel,
        inputs: Vec<BufferId>,
        weights: Vec<WeightId>,
        id: NodeId,
    ) -> Result<(), PlanError> {
        let output = self.buffer_of(&kernel.result, name)?;
        let (shape, threads) = (kernel.result.clone(), self.plan.options.threads);
        let scratch = kernel.scratch(self.plan.options.isa, threads).div_ceil(threads) * size_of::<f32>();
        let name = name.to_owned();
        self.plan.steps.push(Step {
            name,
            kernel: Kernel::Train(kernel),
            inputs,
            outputs: vec![output],
            weights,
            scratch,
            shape,
            why: String::new(),
        });
        self.set(id.into(), output);
        Ok(())
    }

    /// The gradient of a convolution's input is a stride-1 convolution with the transposed, flipped weight (see
    /// [`WeightSource::Transposed`]). If the convolution has a stride, the incoming gradient is first zero-inserted.
    /// For a 1x1 kernel without padding, the result is zero-inserted instead,
    /// if what is computed of zeros is zero.
    /// A transposed convolution is such a gradient, and may have a bias.
    pub(super) fn conv_grad_input(
        &mut self,
        id: NodeId,
        conv: &Conv,
        input: [usize; 3],
        operands: &[Value],
        bias: Option<WeightId>,
    ) -> Result<(), PlanError> {
        let dy = operands[0];
        let node = self.network.graph().node(id);
        let name = node.name.clone();
        let batch = self.plan.options.batch;
        let [channels, h, w] = input;
        let map = self.map(dy)?;
        let reach = [0, 1].map(|axis| conv.dilation[axis] * (conv.kernel[axis] - 1));
        let strided = conv.stride != [1, 1];
        // zeros between the results are the same, where no output padding asks for more of them
        let is_plain = (0..2).all(|axis| [h, w][axis].div_ceil(conv.stride[axis]) == map[axis]);
        let keeps_zeros = bias.is_none() && conv.epilogue.act.as_ref().is_none_or(|act| act.program.evaluate(&[0.0]) == 0.0);
        let insert_after = strided && is_plain && conv.kernel == [1, 1] && conv.pad == [[0; 2]; 2] && keeps_zeros;
        let mut from = self.operand(dy)?;
        let mut size = map;
        if strided && !insert_after {
            size = [0, 1].map(|axis| (map[axis] - 1) * conv.stride[axis] + 1);
            from = self.zero_insert(
                &format!("{name}.zero_insert"),
                conv.stride,
                [batch, conv.filters, size[0], size[1]],
                from,
                map,
            )?;
        }
        // where the padding exceeds the kernel's reach, compute the gradient of the padded map and crop it
        let cut = [0, 1].map(|axis| conv.pad[axis].iter().any(|&pad| pad > reach[axis]));
        let padded = if cut.contains(&true) { conv.pad } else { [[0; 2]; 2] };
        let padded_size = [h + padded[0][0] + padded[0][1], w + padded[1][0] + padded[1][1]];
        let output = if insert_after { map } else { padded_size };
        let pad = if insert_after {
            [[0; 2]; 2]
        } else {
            [0, 1].map(|axis| {
                let before = reach[axis] + padded[axis][0] - conv.pad[axis][0];
                [before, output[axis] + reach[axis] - size[axis] - before]
            })
        };
        let shape = ConvShape {
            batch,
            channels: conv.filters,
            input: size,
            filters: channels,
            output,
            kernel: conv.kernel,
            stride: [1, 1],
            pad,
            dilation: conv.dilation,
            groups: conv.groups,
        };
        let choice = strategy::plain(&shape, self.plan.options.threads);
        let weight = self.transposed_weight(node, conv, channels)?;
        let mut inputs = vec![from];
        for &other in &operands[1..] {
            inputs.push(self.operand(other)?);
        }
        let act = conv.epilogue.act.as_ref();
        let fuses = act.is_none_or(|act| self.fuses(act, Some(channels)));
        let mut result = self.buffer_of(&shape.output_sizes(), &name)?;
        self.plan.steps.push(Step {
            name: name.clone(),
            kernel: Kernel::Conv {
                shape,
                strategy: choice.strategy,
                residual: residual(conv.epilogue.residual),
                act: act.filter(|_| fuses).map(|act| FusedFunction::new(act)),
            },
            inputs,
            outputs: vec![result],
            weights: [weight].into_iter().chain(bias).collect(),
            scratch: match choice.strategy {
                ConvStrategy::Gemm(tiles) => tiles.scratch(&shape) * size_of::<f32>(),
                _ => 0,
            },
            shape: shape.output_sizes().to_vec(),
            why: String::new(),
        });
        if insert_after {
            result = self.zero_insert(&format!("{name}.zero_insert"), conv.stride, [batch, channels, h, w], result, map)?;
        }
        self.set(id.into(), result);
        if padded != [[0; 2]; 2] {
            let unpad = Train::Unpad(Pad::zeros(padded));
            let kernel = TrainKernel::on_map(unpad, shape.output_sizes().to_vec(), vec![batch, channels, h, w], batch);
            self.train_step(&format!("{name}.unpad"), kernel, vec![result], Vec::new(), id)?;
        }
        act.filter(|_| !fuses).map_or(Ok(()), |act| self.own_step(id.into(), act))
    }

    /// Adds a step that inserts zeros between the pixels of a feature map.
    fn zero_insert(
        &mut self,
        name: &str,
        stride: [usize; 2],
        result: [usize; 4],
        from: BufferId,
        map: [usize; 2],
    ) -> Result<BufferId, PlanError> {
        let [batch, channels, h, w] = result;
        let insert = Train::SubsampleGrad { stride, input: [h, w] };
        let kernel = TrainKernel::on_map(insert, vec![batch, channels, map[0], map[1]], result.to_vec(), batch);
        let output = self.buffer_of(&result, name)?;
        self.plan.steps.push(Step {
            name: name.to_owned(),
            kernel: Kernel::Train(kernel),
            inputs: vec![from],
            outputs: vec![output],
            weights: Vec::new(),
            scratch: 0,
            shape: result.to_vec(),
            why: String::new(),
        });
        Ok(output)
    }

    fn transposed_weight(&mut self, node: &Node, conv: &Conv, channels: usize) -> Result<WeightId, PlanError> {
        let missing = || PlanError::Internal(format!("`{}` has no weight", node.name));
        let param = node.params.first().ok_or_else(missing)?.source.clone();
        let [kh, kw] = conv.kernel;
        self.plan.weights.push(Weight {
            name: format!("{}.weight", node.name),
            source: WeightSource::Transposed { param, groups: conv.groups },
            shape: vec![channels, conv.filters / conv.groups, kh, kw],
            layout: WeightLayout::Plain,
        });
        Ok(WeightId(self.plan.weights.len() - 1))
    }
}
