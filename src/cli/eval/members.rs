//! The networks that are judged: one, or several together.

use std::path::PathBuf;

use super::super::args::Named;
use super::super::images::{Reader, log_probabilities, probabilities};
use super::super::open::ModelArgs;
use super::super::output::{Failure, Out};
use super::score::{Row, add};
use super::{Args, Average};
use crate::check;
use crate::data::{Cut, DataError, Dataset, Input, PrepareError, Sample, Transform, Views};
use crate::ir::{Checked, Preprocess, Shape};
use crate::runtime::Session;
use crate::train::classes;

/// Pixels that a network is taken to be made for where neither its input nor its preprocessing says.
const USUAL: usize = 224 * 224;

/// A network that is judged.
pub(super) struct EnsembleMember {
    /// Its name, and its file where another of the same name is judged.
    pub title: String,
    args: ModelArgs,
    pub session: Session,
    reader: Reader,
    /// Which of the ways to prepare images is its own.
    way: usize,
    /// Pixels of the input that it is made for.
    pixels: usize,
}

/// The networks, all of the same classes.
pub(super) struct Members {
    pub list: Vec<EnsembleMember>,
    /// The ways in which images are prepared for them, each different.
    ways: Vec<(Preprocess, Shape)>,
    classes: usize,
    /// All files that they come from.
    read: Vec<PathBuf>,
}

/// An image prepared in each way, in each of its views.
pub(super) type Shown = Vec<Vec<Input>>;

impl Members {
    /// Opens the networks that the command names.
    pub fn open(args: &Args, views: &Views, out: &mut Out) -> Result<Members, Failure> {
        let further = args.ensemble.iter().map(|named| beside(&args.model, named));
        let mut list: Vec<EnsembleMember> = Vec::new();
        let mut ways: Vec<(Preprocess, Shape)> = Vec::new();
        let mut read = Vec::new();
        for from in std::iter::once(args.model.clone()).chain(further) {
            let member = EnsembleMember::open(from, views, args.average, &mut ways, &mut read, out)?;
            agree(list.first(), &member)?;
            list.push(member);
        }
        name_apart(&mut list);
        let classes = list.first().and_then(|m| classes(m.session.model().optimized())).unwrap_or(0);
        Ok(Members { list, ways, classes, read })
    }

    /// All files that they come from.
    pub fn read(&self) -> &[PathBuf] {
        &self.read
    }

    /// How many classes they tell apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The names of the classes: of the first network that states them; none where none does.
    pub fn labels(&self) -> &[String] {
        let mut lists = self.list.iter().map(|m| &m.session.model().network().labels);
        lists.find(|labels| !labels.is_empty()).map_or(&[], Vec::as_slice)
    }

    /// Fails where a dataset of normalized samples does not go with the networks or the views; images are brought to any size.
    pub fn hold(&self, data: &dyn Dataset, views: &Views) -> Result<(), Failure> {
        if !data.is_normalized() {
            return Ok(());
        }
        if !views.is_plain() {
            return Err(Failure::Usage(format!(
                "--crops, --scales and --flip show images in other ways, and `{}` holds normalized values",
                data.name(0)
            )));
        }
        for (how, shape) in &self.ways {
            Transform::new(data, shape, Some(how), &[]).map_err(Failure::input)?;
        }
        Ok(())
    }

    /// Reads a sample and prepares it in each way.
    pub fn show(ways: &[(Preprocess, Shape)], views: &Views, data: &dyn Dataset, index: usize) -> Result<Shown, String> {
        let wrong = |source: PrepareError| DataError::Prepare { name: data.name(index), source }.to_string();
        match data.read(index).map_err(|e| e.to_string())? {
            Sample::Pixels(pixels) => {
                let prepare = |(how, shape): &(Preprocess, Shape)| views.prepare(pixels.clone(), how, shape);
                ways.iter().map(prepare).collect::<Result<_, _>>().map_err(wrong)
            }
            Sample::Values(values) => Ok(ways.iter().map(|_| vec![(values.data.clone(), values.size)]).collect()),
        }
    }

    /// The ways in which images are prepared for them.
    pub fn ways(&self) -> &[(Preprocess, Shape)] {
        &self.ways
    }
}

/// The arguments of a further network: how it runs is said once for all.
fn beside(first: &ModelArgs, named: &Named) -> ModelArgs {
    let mut args = first.clone();
    args.file.clone_from(&named.file);
    args.select.network.clone_from(&named.network);
    args.select.set.clear();
    args.weights.clone_from(&named.weights);
    args
}

/// Views that can run together.
struct OfOneSize<'a> {
    size: [usize; 3],
    /// The values of each, and the image that it is a view of.
    views: Vec<(usize, &'a [f32])>,
}

impl EnsembleMember {
    fn open(
        args: ModelArgs,
        views: &Views,
        average: Average,
        ways: &mut Vec<(Preprocess, Shape)>,
        read: &mut Vec<PathBuf>,
        out: &mut Out,
    ) -> Result<EnsembleMember, Failure> {
        let mut loaded = args.load(out)?;
        read.append(&mut loaded.read);
        let pixels = made_for(&loaded.checked);
        if views.cut == Cut::Whole {
            loaded.checked = check::any_size(&loaded.checked).map_err(|error| {
                let name = &loaded.checked.network.name;
                Failure::Input(format!("`{name}` cannot be shown whole pictures: {error}; --scales with --crops shows crops"))
            })?;
        }
        let mut reader = Reader::of(&loaded.checked)?;
        // the loss is that of the scores, which a softmax may round to 0
        let (checked, ended_in_softmax) = loaded.checked.scores();
        loaded.checked = checked;
        reader.ends_in_softmax &= !ended_in_softmax;
        let model = loaded.model()?;
        if average == Average::Logits && (reader.ends_in_softmax || ended_in_softmax) {
            let name = &model.network().name;
            return Err(Failure::Input(format!("`{name}` ends in a softmax: it yields no logits to be averaged")));
        }
        if views.cut == Cut::Ten && views.scales.is_empty() && reader.how.resize.is_none() && reader.how.crop.is_none() {
            let name = &model.network().name;
            return Err(Failure::Usage(format!(
                "`{name}` takes images as large as its input, where ten crops are the same: give a larger size of the shorter side \
                 with --scales"
            )));
        }
        // where a mean was read from makes no difference
        let own = (Preprocess { mean_from: None, ..reader.how.clone() }, reader.shape.clone());
        let way = ways.iter().position(|way| *way == own).unwrap_or_else(|| {
            ways.push(own);
            ways.len() - 1
        });
        let session = args.session(&model)?;
        Ok(EnsembleMember { title: model.network().name.clone(), args, session, reader, way, pixels })
    }

    /// Plans for a full run, where its size is known before an image is read.
    pub fn prepare(&mut self, views: &Views, batch: usize) -> Result<(), Failure> {
        match self.reader.free_size() {
            Some(size) if views.cut != Cut::Whole => self.session.prepare(batch, size).map_err(Failure::input),
            _ => Ok(()),
        }
    }

    /// The probabilities that it gives the classes of each picture: the average over views.
    pub fn answer(&mut self, pictures: &[Shown], batch: usize, average: Average) -> Result<Vec<Row>, Failure> {
        // in the order in which each size first comes
        let mut sizes: Vec<OfOneSize<'_>> = Vec::new();
        for (picture, shown) in pictures.iter().enumerate() {
            for (values, size) in shown.get(self.way).map_or(&[][..], Vec::as_slice) {
                match sizes.iter_mut().find(|known| known.size == *size) {
                    Some(known) => known.views.push((picture, values)),
                    None => sizes.push(OfOneSize { size: *size, views: vec![(picture, values)] }),
                }
            }
        }
        // of scores or probabilities, and of the probabilities' logarithms
        let mut sums: Vec<[Vec<f64>; 2]> = vec![[Vec::new(), Vec::new()]; pictures.len()];
        for OfOneSize { size, views } in sizes {
            let [_, height, width] = size;
            // larger images take more memory: as many as make the pixels of a batch of the network's own size
            let together = (batch.saturating_mul(self.pixels) / (height * width).max(1)).clamp(1, batch);
            for run in views.chunks(together) {
                let values: Vec<&[f32]> = run.iter().map(|(_, values)| *values).collect();
                let rows = self.reader.scores(&mut self.session, &values, size)?;
                for ((picture, _), scores) in run.iter().zip(rows) {
                    let [sum, logs] = &mut sums[*picture];
                    sum.resize(scores.len(), 0.0);
                    logs.resize(scores.len(), f64::NEG_INFINITY);
                    if average == Average::Logits {
                        sum.iter_mut().zip(scores).for_each(|(sum, score)| *sum += f64::from(score));
                        continue;
                    }
                    let Row { p, log } = self.row(scores);
                    sum.iter_mut().zip(p).for_each(|(sum, p)| *sum += f64::from(p));
                    logs.iter_mut().zip(log).for_each(|(sum, log)| *sum = add(*sum, log));
                }
            }
        }
        let mean = |([sum, logs], shown): ([Vec<f64>; 2], &Shown)| {
            let views = shown.get(self.way).map_or(1, Vec::len).max(1) as f64;
            let row: Vec<f32> = sum.into_iter().map(|sum| (sum / views) as f32).collect();
            match average {
                Average::Logits => Row { p: probabilities(&row), log: log_probabilities(&row) },
                Average::Probabilities => Row { p: row, log: logs.into_iter().map(|log| log - views.ln()).collect() },
            }
        };
        Ok(sums.into_iter().zip(pictures).map(mean).collect())
    }

    /// The probabilities that the scores of a view are.
    fn row(&self, scores: Vec<f32>) -> Row {
        if self.reader.ends_in_softmax {
            let log = scores.iter().map(|&p| f64::from(p).ln()).collect();
            return Row { p: scores, log };
        }
        Row { p: probabilities(&scores), log: log_probabilities(&scores) }
    }

    /// Why its answer to an image is not finite.
    pub fn why_not_finite(&mut self, shown: &Shown) -> Result<String, Failure> {
        let views = shown.get(self.way).map_or(&[][..], Vec::as_slice);
        for (values, size) in views {
            if let Some(cause) = self.reader.first_not_finite(&mut self.session, values, *size)? {
                return Ok(format!("network `{}`: {cause}", self.title));
            }
        }
        Ok(format!("network `{}`", self.title))
    }

    /// Says what of the weights was packed again.
    pub fn note(&self, out: &Out) {
        self.args.note_packs(&self.session, out);
    }
}

/// Pixels of the input that a network is made for.
fn made_for(checked: &Checked) -> usize {
    let input = checked.graph().inputs().first().and_then(|&input| checked.shape(input).sizes());
    let input = input.and_then(|sizes| <[usize; 3]>::try_from(sizes).ok()).map(|[_, height, width]| [height, width]);
    let crop = checked.network.preprocess.as_ref().and_then(|how| how.crop);
    input.or(crop).map_or(USUAL, |[height, width]| height.saturating_mul(width).max(1))
}

/// Fails where two networks do not tell the same classes apart.
fn agree(first: Option<&EnsembleMember>, other: &EnsembleMember) -> Result<(), Failure> {
    let count = |member: &EnsembleMember| classes(member.session.model().optimized()).unwrap_or(0);
    let Some(first) = first else { return Ok(()) };
    let (one, two) = (&first.title, &other.title);
    let (n, m) = (count(first), count(other));
    if n != m {
        return Err(Failure::Input(format!("`{one}` tells {n} classes apart, and `{two}` {m}: they cannot be averaged")));
    }
    let [a, b] = [first, other].map(|member| &member.session.model().network().labels);
    match a.iter().zip(b).position(|(a, b)| a != b) {
        Some(class) => Err(Failure::Input(format!(
            "class {class} is `{}` of `{one}` and `{}` of `{two}`: they cannot be averaged",
            a[class], b[class]
        ))),
        None => Ok(()),
    }
}

/// Networks of one name are told apart by their files, and by their places where the files are the same.
fn name_apart(list: &mut [EnsembleMember]) {
    let names: Vec<String> = list.iter().map(|m| m.title.clone()).collect();
    for (i, member) in list.iter_mut().enumerate() {
        if names.iter().filter(|name| **name == names[i]).count() > 1 {
            member.title = format!("{} ({}, {})", names[i], member.args.file.display(), i + 1);
        }
    }
}
