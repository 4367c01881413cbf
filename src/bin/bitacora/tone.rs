//! Whether text may be emphasised, and how: on a terminal, unless the environment says otherwise.

use std::io::IsTerminal;

/// Whether text may be emphasised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emphasis {
    Shown,
    Plain,
}

/// What the environment says about colours; a variable that is empty is not set.
#[derive(Clone, Copy, Debug, Default)]
struct Wishes {
    /// `NO_COLOR`, whatever its value: none.
    no_color: bool,
    /// `CLICOLOR_FORCE` other than 0: also where it is no terminal.
    forced: bool,
    /// `CLICOLOR=0`: none.
    unwanted: bool,
    /// `TERM=dumb`: the terminal shows none.
    is_dumb: bool,
}

impl Wishes {
    fn of_environment() -> Self {
        let value = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            no_color: value("NO_COLOR").is_some(),
            forced: value("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            unwanted: value("CLICOLOR").is_some_and(|value| value == "0"),
            is_dumb: value("TERM").is_some_and(|value| value == "dumb"),
        }
    }

    fn emphasis(self, is_terminal: bool) -> Emphasis {
        let is_able = is_terminal && !self.unwanted && !self.is_dumb;
        if !self.no_color && (self.forced || is_able) { Emphasis::Shown } else { Emphasis::Plain }
    }

    fn color_choice(self) -> clap::ColorChoice {
        match self.emphasis(true) {
            Emphasis::Shown => clap::ColorChoice::Auto,
            Emphasis::Plain => clap::ColorChoice::Never,
        }
    }
}

impl Emphasis {
    /// Shown on a terminal, unless `NO_COLOR`, `CLICOLOR=0` or a dumb terminal says otherwise; `CLICOLOR_FORCE` shows it anywhere.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        Wishes::of_environment().emphasis(stream.is_terminal())
    }

    /// `text` in a tone.
    pub(crate) fn toned(self, tone: Tone, text: &str) -> String {
        if self == Self::Plain {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Aside => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// For what clap prints itself, help and errors of usage: it looks at the environment and at each stream too, but takes a
/// dumb terminal for an able one where `CI` is set.
pub(crate) fn color_choice() -> clap::ColorChoice {
    Wishes::of_environment().color_choice()
}

/// What a text says by how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Heading,
    Good,
    Bad,
    Aside,
}

/// Whether lines can be drawn over on standard error: a bar needs that.
pub(crate) fn can_draw() -> bool {
    std::io::stderr().is_terminal() && !Wishes::of_environment().is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_emphasis_and_the_environment_forbids_or_forces_it() {
        let none = Wishes::default();
        let cases = [
            (none, true, Emphasis::Shown),
            (none, false, Emphasis::Plain),
            (Wishes { no_color: true, ..none }, true, Emphasis::Plain),
            (Wishes { unwanted: true, ..none }, true, Emphasis::Plain),
            (Wishes { is_dumb: true, ..none }, true, Emphasis::Plain),
            (Wishes { forced: true, ..none }, false, Emphasis::Shown),
            (Wishes { forced: true, no_color: true, ..none }, true, Emphasis::Plain),
        ];
        for (wishes, is_terminal, expected) in cases {
            assert_eq!(wishes.emphasis(is_terminal), expected, "{wishes:?}, a terminal: {is_terminal}");
        }
    }

    #[test]
    fn plain_text_has_no_escapes() {
        assert_eq!(Emphasis::Plain.toned(Tone::Bad, "error:"), "error:");
        assert_eq!(Emphasis::Shown.toned(Tone::Bad, "error:"), "\u{1b}[1;31merror:\u{1b}[0m");
    }
}
