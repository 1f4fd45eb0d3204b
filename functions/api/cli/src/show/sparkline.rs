//! Metrics as lines of blocks. What was not measured is a gap, and never a zero.

use api::wire::Point;
use domain::Timestamp;

use super::Table;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// How much of a percentage each block stands for.
const STEP: f64 = 12.5;

/// What is known of one metric.
#[derive(Debug, PartialEq)]
pub(crate) struct Metric {
    name: String,
    line: String,
    /// The least, the most and the last value.
    range: Option<[f64; 3]>,
}

/// These metrics over all points, in at most so many columns.
pub(crate) fn metrics(points: &[Point], names: &[String], columns: usize) -> Vec<Metric> {
    let time = |point: &Point| point.at.parse::<Timestamp>().ok().map(|at| at.as_second());
    let mut timed: Vec<(i64, &Point)> =
        points.iter().filter_map(|point| Some((time(point)?, point))).collect();
    timed.sort_by_key(|(at, _)| *at);
    let metric = |name: &String| {
        let values: Vec<(i64, Option<f64>)> =
            timed.iter().map(|(at, point)| (*at, point.percent.get(name.as_str()).copied())).collect();
        let measured = || values.iter().filter_map(|(_, value)| *value);
        let range = measured().next_back().map(|last| {
            [measured().fold(f64::INFINITY, f64::min), measured().fold(f64::NEG_INFINITY, f64::max), last]
        });
        Metric { name: name.clone(), line: line(&values, columns), range }
    };
    names.iter().map(metric).collect()
}

/// One block for each column of time: the mean of what was measured in it, a blank if nothing was.
fn line(points: &[(i64, Option<f64>)], columns: usize) -> String {
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else { return String::new() };
    // Columns are not narrower than what usually lies between two points: that would make gaps of our own.
    let mut steps: Vec<i64> = points.windows(2).map(|two| two[1].0 - two[0].0).collect();
    steps.sort_unstable();
    let step = steps.get(steps.len() / 2).copied().unwrap_or(1).max(1);
    let columns = i64::try_from(columns.max(1)).unwrap_or(1);
    let width = step.max((last - first) / columns + 1);
    let mut sums = vec![(0.0, 0_u32); usize::try_from((last - first) / width + 1).unwrap_or(1)];
    for (at, value) in points {
        let index = usize::try_from((at - first) / width).unwrap_or(0);
        if let (Some(value), Some((sum, count))) = (value, sums.get_mut(index)) {
            *sum += value;
            *count += 1;
        }
    }
    let block = |(sum, count)| if count == 0 { ' ' } else { block(sum / f64::from(count)) };
    sums.into_iter().map(block).collect()
}

fn block(percent: f64) -> char {
    let mut floor = 0.0;
    let mut reached = BLOCKS[0];
    for block in BLOCKS {
        if percent >= floor {
            reached = block;
        }
        floor += STEP;
    }
    reached
}

impl Metric {
    /// A row for each metric.
    pub(crate) fn table(metrics: &[Self]) -> Table {
        let mut table = Table::new(&["METRIC", "MIN", "MAX", "LAST", "UNIT", "0 TO 100"]);
        for metric in metrics {
            let shown = match metric.range {
                Some(range) => range.map(|value| format!("{value:.1}")),
                None => ["-", "-", "-"].map(str::to_owned),
            };
            let [least, most, last] = shown;
            table.row([metric.name.clone(), least, most, last, "%".to_owned(), metric.line.clone()]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_a_gap_and_not_a_zero() {
        let points = [(0, Some(0.0)), (60, None), (120, Some(100.0)), (300, Some(50.0))];
        assert_eq!(line(&points, 40), "▁ █  ▅");
    }

    #[test]
    fn many_points_share_a_column_with_their_mean() {
        let points: Vec<(i64, Option<f64>)> =
            (0..600).map(|i| (i * 60, Some(if i < 300 { 10.0 } else { 90.0 }))).collect();
        assert_eq!(line(&points, 10), "▁▁▁▁▁█████");
        assert!(line(&points, 7).chars().count() <= 7);
    }

    #[test]
    fn one_point_is_one_block_and_none_is_nothing() {
        assert_eq!(line(&[(7, Some(30.0))], 40), "▃");
        assert_eq!(line(&[], 40), "");
        assert_eq!((block(-1.0), block(99.9), block(101.0)), ('▁', '█', '█'));
    }
}
