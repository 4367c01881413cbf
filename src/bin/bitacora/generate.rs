//! `bitacora generate`: completions for shells and man pages, out of the arguments themselves, for whoever packages the command.

use std::fs;
use std::path::{Path, PathBuf};

use bitacora::Error;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::args::Arguments;
use crate::exit::{FINE, Outcome};

/// Write completions for bash, zsh and fish, and a man page for each verb.
///
/// DIR/completions has bitacora.bash, _bitacora (zsh) and bitacora.fish; DIR/man has bitacora.1 and bitacora-VERB.1.
#[derive(Args, Debug)]
#[command(hide = true, after_help = "Example:\n  bitacora generate target/share")]
pub(crate) struct GenerateArgs {
    /// The folder; it is made where nothing is.
    pub(crate) dir: PathBuf,
}

pub(crate) fn run(args: &GenerateArgs) -> Outcome {
    let failed = |error| Error::from_io(format!("write to {}", args.dir.display()), error);
    write(&Arguments::command(), &args.dir).map_err(failed)?;
    Ok(FINE)
}

fn write(command: &Command, dir: &Path) -> std::io::Result<()> {
    let (completions, man) = (dir.join("completions"), dir.join("man"));
    fs::create_dir_all(&completions)?;
    fs::create_dir_all(&man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command.clone(), command.get_name(), &completions)?;
    }
    clap_mangen::generate_to(command.clone(), &man)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_completions_and_a_man_page() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("share");
        let command = Arguments::command();
        assert_eq!(run(&GenerateArgs { dir: dir.clone() }).unwrap(), FINE);
        let read = |path: &str| fs::read_to_string(dir.join(path)).unwrap_or_default();
        let shells = ["completions/bitacora.bash", "completions/_bitacora", "completions/bitacora.fish"].map(read);
        assert!(read("man/bitacora.1").contains("130 interrupted"));
        let verbs: Vec<&str> =
            command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name).collect();
        assert!(verbs.len() > 20, "{verbs:?}");
        for verb in verbs {
            let page = read(&format!("man/bitacora-{verb}.1"));
            assert!(page.contains("Example") && page.contains(".TH"), "{verb} has no man page: {page}");
            for shell in &shells {
                assert!(shell.contains(verb), "{verb} is not completed");
            }
        }
    }
}
