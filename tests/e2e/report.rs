//! The figures of a run, with the machine beside them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use reqwest::Method;

use crate::cloud::Cloud;
use crate::functions::Functions;

/// The functions, in the order of the alphabet.
const FUNCTIONS: [&str; 6] = ["act", "api", "collect", "drift", "notify", "poll"];
/// The goals of the figures that have one.
const MOST_ZIP: f64 = 5.0;
const MOST_MEMORY: f64 = 40.0;

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Line by line.
    figures: Mutex<Vec<(String, String)>>,
    /// The most memory, in KiB, that a process of each function had when it was looked at.
    peaks: Mutex<BTreeMap<String, u64>>,
}

impl Report {
    /// Writes down a figure.
    pub(crate) fn add(&self, what: impl Into<String>, figure: impl Into<String>) {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).push((what.into(), figure.into()));
    }

    /// Writes down the peak memory of the functions' processes, before those end.
    pub(crate) async fn look_at_memory(&self, cloud: &Cloud) -> Result<()> {
        let memory = cloud.pulse(Method::GET, "/memory", None).await?;
        let mut peaks = self.peaks.lock().unwrap_or_else(PoisonError::into_inner);
        for (function, kib) in memory.as_object().into_iter().flatten() {
            let peak = peaks.entry(function.clone()).or_default();
            *peak = (*peak).max(kib.as_u64().unwrap_or_default());
        }
        Ok(())
    }

    /// Prints everything, the functions' sizes and peaks included.
    pub(crate) async fn print(&self, cloud: &Cloud) -> Result<()> {
        println!("\nfigures, on {}", machine());
        let measured = self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (what, figure) in measured {
            println!("  {what:<46} {figure}");
        }
        let functions = Functions::new(cloud);
        self.look_at_memory(cloud).await?;
        let peaks = self.peaks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for function in FUNCTIONS {
            let zip = megabytes(functions.size(function).await?);
            let peak = peaks.get(&format!("{}-{function}", cloud.stack)).map(|kib| megabytes(kib * 1024));
            let peak = peak.map_or_else(|| "not running now".to_owned(), |mb| goal(mb, MOST_MEMORY));
            println!("  {function:<8} archive {:<24} peak memory {peak}", goal(zip, MOST_ZIP));
        }
        Ok(())
    }
}

fn goal(value: f64, most: f64) -> String {
    let verdict = if value < most { "goal" } else { "MISSED, goal" };
    format!("{value:.1} MB ({verdict} under {most:.0})")
}

fn megabytes(bytes: u64) -> f64 {
    // Exact up to petabytes, which no function has.
    bytes as f64 / 1e6
}

/// The value below which this share of the durations lies.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

/// "12 ms"
pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1e3)
}

/// Processor, memory and kernel of this machine.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kib: f64 = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} x {processor}, {:.0} GB, Linux {}", kib / 1e6, kernel.trim())
}
