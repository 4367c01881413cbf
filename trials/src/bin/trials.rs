//! `trials list`, `trials gate [ID ...]`, `trials replay ID SEED`, `trials soak --minutes N [--log FILE] [ID ...]`,
//! `trials table [--log FILE]`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bitacora_trials::class::{Class, Tally};
use bitacora_trials::classes::{ALL, CHECKED, find, here};
use bitacora_trials::runner::{self, Goal, attempt, grouped, line};
use bitacora_trials::soak;

const USAGE: &str = "\
usage: trials list                                        every class, with what its gate and a release ask for
       trials gate [ID ...]                               what every run of the checks tries
       trials soak --minutes N [--log FILE] [ID ...]      goes on for so long, the classes in turn
       trials table [--log FILE]                          what a soak reached
       trials replay ID SEED                              one piece again";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match command(&words) {
        Ok(code) => code,
        Err(text) => {
            eprintln!("error: {text}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn command(words: &[String]) -> Result<ExitCode, String> {
    let (verb, rest) = words.split_first().ok_or("a verb is missing")?;
    match verb.as_str() {
        "list" => Ok(list()),
        "gate" => Ok(gate(&chosen(rest)?)),
        "soak" => run_soak(rest),
        "table" => {
            let (_, log, _) = options(rest)?;
            print!(
                "{}",
                soak::table(&[ALL, CHECKED].concat(), &log).map_err(|error| format!("{}: {error}", log.display()))?
            );
            Ok(ExitCode::SUCCESS)
        }
        "replay" => replay(rest),
        #[cfg(feature = "rocksdb")]
        "child" => bitacora_trials::real::child(rest),
        other => Err(format!("there is no verb {other}")),
    }
}

fn chosen(ids: &[String]) -> Result<Vec<Class>, String> {
    if ids.is_empty() {
        return Ok(here().to_vec());
    }
    ids.iter().map(|id| find(id).copied().ok_or_else(|| format!("there is no class {id}"))).collect()
}

fn list() -> ExitCode {
    for class in here() {
        println!(
            "{:4} {:40} gate {:>12}   release {:>14}",
            class.id,
            class.what,
            grouped(class.gate),
            grouped(class.release)
        );
    }
    ExitCode::SUCCESS
}

fn gate(classes: &[Class]) -> ExitCode {
    let mut passed = true;
    for class in classes {
        let outcome = runner::run(class, Goal::gate(class));
        println!("{}", line(class, &outcome));
        if let Some(failure) = &outcome.failure {
            println!("{failure}");
        }
        let is_enough = outcome.tally.count >= class.gate || outcome.tally.skipped.is_some();
        passed &= outcome.failure.is_none() && is_enough;
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options(words: &[String]) -> Result<(Option<f64>, PathBuf, Vec<String>), String> {
    let (mut minutes, mut log, mut ids) = (None, PathBuf::from("soak.tsv"), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--minutes" => minutes = Some(value()?.parse().map_err(|_| "--minutes wants a number".to_owned())?),
            "--log" => log = PathBuf::from(value()?),
            option if option.starts_with('-') => return Err(format!("there is no option {option}")),
            id => ids.push(id.to_owned()),
        }
    }
    Ok((minutes, log, ids))
}

fn run_soak(words: &[String]) -> Result<ExitCode, String> {
    let (minutes, log, ids) = options(words)?;
    let minutes = minutes.ok_or("soak wants --minutes")?;
    let classes = chosen(&ids)?;
    let share = Duration::from_secs_f64(minutes * 60.0 / classes.len() as f64);
    let mut passed = true;
    for class in &classes {
        let outcome = soak::go_on(class, &log, share).map_err(|error| format!("{}: {error}", log.display()))?;
        match outcome {
            None => println!("{} {}: nothing is left to try", class.id, class.what),
            Some(outcome) => {
                println!("{}", line(class, &outcome));
                if let Some(failure) = &outcome.failure {
                    println!("{failure}");
                }
                passed &= outcome.failure.is_none();
            }
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn replay(words: &[String]) -> Result<ExitCode, String> {
    let [id, seed] = words else { return Err("replay wants a class and a seed".to_owned()) };
    let class = find(id).ok_or_else(|| format!("there is no class {id}"))?;
    let seed = seed.parse().map_err(|_| format!("{seed} is no seed"))?;
    let mut tally = Tally::default();
    let outcome = attempt(class, seed, &mut tally);
    println!("{tally:?}");
    Ok(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    })
}
