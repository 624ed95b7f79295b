//! The networks of an evaluation: one, or an ensemble whose probabilities are averaged.

use super::error::EvalError;
use super::measures::{Probabilities, log_add_exp};
use super::options::{Average, EvalOptions};
use crate::check;
use crate::data::{Crop, DataError, Dataset, Input, PrepareError, Sample, Transform, Views};
use crate::infer::{BoundNetwork, ImagePipeline, log_softmax, softmax};
use crate::ir::{Checked, Preprocess, Shape};
use crate::runtime::{Session, SessionOptions};
use crate::train::classes;

/// The input size assumed, in pixels, if neither the input nor the preprocessing states one.
const USUAL_PIXELS: usize = 224 * 224;

/// A network of an ensemble.
pub struct EnsembleMember {
    /// The network's name.
    name: String,
    /// The name, and the origin if another member has the same name.
    title: String,
    /// Where it comes from.
    origin: String,
    session: Session,
    pipeline: ImagePipeline,
    /// The index of its preparation: see [`Ensemble`].
    preparation: usize,
    /// The input size that it is made for, in pixels.
    pixels: usize,
}

/// Networks of the same classes.
#[derive(Default)]
pub struct Ensemble {
    members: Vec<EnsembleMember>,
    preparations: Vec<Preparation>,
    classes: usize,
}

/// How images become a network's input. Members of the same preparation share the prepared images.
#[derive(Clone, PartialEq)]
pub(super) struct Preparation {
    preprocess: Preprocess,
    shape: Shape,
}

/// An image in each preparation, in each of its views.
pub(super) type Prepared = Vec<Vec<Input>>;

impl Ensemble {
    /// Adds a network. `origin` is where it comes from: it tells networks of the same name apart.
    ///
    /// # Errors
    /// The network does not read images, does not allow the views or the average, or has other classes than the members before.
    pub fn push(
        &mut self,
        network: BoundNetwork,
        origin: String,
        options: &EvalOptions,
        session: SessionOptions,
    ) -> Result<(), EvalError> {
        let mut member = EnsembleMember::new(network, origin, options, session)?;
        match self.members.first() {
            Some(first) => same_classes(first, &member)?,
            None => self.classes = member.classes(),
        }
        // where a mean was read from makes no difference
        let preprocess = Preprocess { mean_from: None, ..member.pipeline.preprocess.clone() };
        let own = Preparation { preprocess, shape: member.pipeline.shape.clone() };
        member.preparation = self.preparations.iter().position(|known| *known == own).unwrap_or_else(|| {
            self.preparations.push(own);
            self.preparations.len() - 1
        });
        self.members.push(member);
        set_titles(&mut self.members);
        Ok(())
    }

    /// The networks.
    pub fn members(&self) -> &[EnsembleMember] {
        &self.members
    }

    pub(super) fn members_mut(&mut self) -> &mut [EnsembleMember] {
        &mut self.members
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The names of the classes: those of the first network that states them; empty if none does.
    pub fn class_names(&self) -> &[String] {
        let mut lists = self.members.iter().map(|member| &member.session.model().network().labels);
        lists.find(|labels| !labels.is_empty()).map_or(&[], Vec::as_slice)
    }

    /// Threads of the first network.
    pub(super) fn threads(&self) -> usize {
        self.members.first().map_or(1, |member| member.session.threads())
    }

    /// Checks that a dataset of normalized samples fits the networks and the views. Images are brought to any size.
    pub fn check_data(&self, data: &dyn Dataset, views: &Views) -> Result<(), EvalError> {
        if !data.is_normalized() {
            return Ok(());
        }
        if !views.is_plain() {
            return Err(EvalError::Normalized { name: data.name(0) });
        }
        for Preparation { preprocess, shape } in &self.preparations {
            Transform::new(data, shape, Some(preprocess), &[])?;
        }
        Ok(())
    }

    pub(super) fn preparations(&self) -> &[Preparation] {
        &self.preparations
    }
}

/// Reads a sample, and prepares it in each way.
pub(super) fn prepare(
    preparations: &[Preparation],
    views: &Views,
    data: &dyn Dataset,
    index: usize,
) -> Result<Prepared, DataError> {
    let wrong = |source: PrepareError| DataError::Prepare { name: data.name(index), source };
    match data.read(index)? {
        Sample::Pixels(pixels) => {
            let prepare = |to: &Preparation| views.prepare(pixels.clone(), &to.preprocess, &to.shape);
            preparations.iter().map(prepare).collect::<Result<_, _>>().map_err(wrong)
        }
        Sample::Values(values) => Ok(preparations.iter().map(|_| vec![(values.data.clone(), values.size)]).collect()),
    }
}

/// Views that can run together.
struct OfOneSize<'a> {
    size: [usize; 3],
    /// The values of each, and the image that it is a view of.
    views: Vec<(usize, &'a [f32])>,
}

/// Sums over the views of an image, a number for each class.
#[derive(Clone, Default)]
struct ViewSums {
    /// Of scores, or of probabilities.
    sum: Vec<f64>,
    /// The logarithms of the sums of probabilities.
    log: Vec<f64>,
}

impl EnsembleMember {
    fn new(
        mut network: BoundNetwork,
        origin: String,
        options: &EvalOptions,
        session: SessionOptions,
    ) -> Result<EnsembleMember, EvalError> {
        let name = network.checked.network.name.clone();
        let pixels = input_pixels(&network.checked);
        if options.views.crop == Crop::Whole {
            let any_size = check::any_size(&network.checked);
            network.checked = any_size.map_err(|source| EvalError::WholeImages { network: name.clone(), source })?;
        }
        let mut pipeline = ImagePipeline::new(&network.checked)?;
        // the loss is that of the scores, which a softmax may round to 0
        let (checked, ended_in_softmax) = network.checked.scores();
        network.checked = checked;
        pipeline.ends_in_softmax &= !ended_in_softmax;
        let model = network.model()?;
        if options.average == Average::Logits && (pipeline.ends_in_softmax || ended_in_softmax) {
            return Err(EvalError::NoLogits { network: name });
        }
        let is_as_large_as_the_input = pipeline.preprocess.resize.is_none() && pipeline.preprocess.crop.is_none();
        if options.views.crop == Crop::Ten && options.views.scales.is_empty() && is_as_large_as_the_input {
            return Err(EvalError::SameCrops { network: name });
        }
        let session = model.session_with(session)?;
        Ok(EnsembleMember { title: name.clone(), name, origin, session, pipeline, preparation: 0, pixels })
    }

    /// The network's name, with its origin if another member has the same name.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The session that it runs in.
    pub fn session(&self) -> &Session {
        &self.session
    }

    fn classes(&self) -> usize {
        classes(self.session.model().optimized()).unwrap_or(0)
    }

    /// Plans for a full run, if its size is known before an image is read.
    pub(super) fn prepare(&mut self, views: &Views, batch: usize) -> Result<(), EvalError> {
        match self.pipeline.free_size() {
            Some(size) if views.crop != Crop::Whole => Ok(self.session.prepare(batch, size)?),
            _ => Ok(()),
        }
    }

    /// The views of an image that it runs on.
    fn views<'a>(&self, image: &'a Prepared) -> &'a [Input] {
        image.get(self.preparation).map_or(&[], Vec::as_slice)
    }

    /// The class probabilities of each image: the average over its views.
    pub(super) fn run(&mut self, images: &[Prepared], options: &EvalOptions) -> Result<Vec<Probabilities>, EvalError> {
        // in the order in which each size first comes
        let mut sizes: Vec<OfOneSize<'_>> = Vec::new();
        for (image, prepared) in images.iter().enumerate() {
            for (values, size) in self.views(prepared) {
                match sizes.iter_mut().find(|known| known.size == *size) {
                    Some(known) => known.views.push((image, values)),
                    None => sizes.push(OfOneSize { size: *size, views: vec![(image, values)] }),
                }
            }
        }
        let mut sums = vec![ViewSums::default(); images.len()];
        for OfOneSize { size, views } in sizes {
            let [_, height, width] = size;
            // larger images take more memory: a run has at most the pixels of a batch of the network's own size
            let together = (options.batch.saturating_mul(self.pixels) / (height * width).max(1)).clamp(1, options.batch.max(1));
            for run in views.chunks(together) {
                let values: Vec<&[f32]> = run.iter().map(|(_, values)| *values).collect();
                let rows = self.pipeline.scores(&mut self.session, &values, size)?;
                for ((image, _), scores) in run.iter().zip(rows) {
                    self.add(&mut sums[*image], scores, options.average);
                }
            }
        }
        let mean = |(sums, image): (ViewSums, &Prepared)| sums.mean(self.views(image).len().max(1), options.average);
        Ok(sums.into_iter().zip(images).map(mean).collect())
    }

    /// Adds the scores of a view.
    fn add(&self, sums: &mut ViewSums, scores: Vec<f32>, average: Average) {
        sums.sum.resize(scores.len(), 0.0);
        sums.log.resize(scores.len(), f64::NEG_INFINITY);
        if average == Average::Logits {
            sums.sum.iter_mut().zip(scores).for_each(|(sum, score)| *sum += f64::from(score));
            return;
        }
        let Probabilities { p, log } = self.probabilities(scores);
        sums.sum.iter_mut().zip(p).for_each(|(sum, p)| *sum += f64::from(p));
        sums.log.iter_mut().zip(log).for_each(|(sum, log)| *sum = log_add_exp(*sum, log));
    }

    fn probabilities(&self, scores: Vec<f32>) -> Probabilities {
        if self.pipeline.ends_in_softmax {
            let log = scores.iter().map(|&p| f64::from(p).ln()).collect();
            return Probabilities { p: scores, log };
        }
        Probabilities { p: softmax(&scores), log: log_softmax(&scores) }
    }

    /// Why its scores for an image are not finite.
    pub(super) fn why_not_finite(&mut self, image: &Prepared) -> Result<String, EvalError> {
        for (values, size) in self.views(image) {
            if let Some(cause) = self.pipeline.first_not_finite(&mut self.session, values, *size)? {
                return Ok(format!("network `{}`: {cause}", self.title));
            }
        }
        Ok(format!("network `{}`", self.title))
    }
}

impl ViewSums {
    fn mean(self, views: usize, average: Average) -> Probabilities {
        let views = views as f64;
        let row: Vec<f32> = self.sum.into_iter().map(|sum| (sum / views) as f32).collect();
        match average {
            Average::Logits => Probabilities { p: softmax(&row), log: log_softmax(&row) },
            Average::Probabilities => Probabilities { p: row, log: self.log.into_iter().map(|log| log - views.ln()).collect() },
        }
    }
}

/// The input size that a network is made for, in pixels.
fn input_pixels(checked: &Checked) -> usize {
    let input = checked.graph().inputs().first().and_then(|&input| checked.shape(input).sizes());
    let input = input.and_then(|sizes| <[usize; 3]>::try_from(sizes).ok()).map(|[_, height, width]| [height, width]);
    let crop = checked.network.preprocess.as_ref().and_then(|how| how.crop);
    input.or(crop).map_or(USUAL_PIXELS, |[height, width]| height.saturating_mul(width).max(1))
}

/// Checks that two networks have the same classes.
fn same_classes(first: &EnsembleMember, other: &EnsembleMember) -> Result<(), EvalError> {
    let (classes, other_classes) = (first.classes(), other.classes());
    let names = (first.name.clone(), other.name.clone());
    if classes != other_classes {
        return Err(EvalError::ClassCounts { first: names.0, classes, other: names.1, other_classes });
    }
    let [own, others] = [first, other].map(|member| &member.session.model().network().labels);
    match own.iter().zip(others).position(|(own, other)| own != other) {
        Some(class) => Err(EvalError::ClassNames {
            class,
            first: names.0,
            first_name: own[class].clone(),
            other: names.1,
            other_name: others[class].clone(),
        }),
        None => Ok(()),
    }
}

/// Tells networks of one name apart by their origins, and by their numbers in case the origins are the same.
fn set_titles(members: &mut [EnsembleMember]) {
    let names: Vec<String> = members.iter().map(|member| member.name.clone()).collect();
    for (i, member) in members.iter_mut().enumerate() {
        if names.iter().filter(|name| **name == names[i]).count() > 1 {
            member.title = format!("{} ({}, {})", names[i], member.origin, i + 1);
        }
    }
}
