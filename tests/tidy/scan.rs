//! A scanner that knows code, strings and comments of Rust apart, and nothing more.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Symbol,
    Text,
    Comment,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    pub(crate) fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Symbol) && self.text == text
    }
}

/// Words, single symbols, literals in quotes, and comments; white space is dropped. `::` is one symbol.
pub(crate) fn scan(text: &str) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap();
        let (kind, length) = if rest.starts_with("//") {
            (Some(Kind::Comment), rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Some(Kind::Comment), block_comment_length(rest))
        } else if let Some(length) = literal_length(rest) {
            (Some(Kind::Text), length)
        } else if first.is_alphanumeric() || first == '_' {
            (Some(Kind::Word), rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()))
        } else if rest.starts_with("::") {
            (Some(Kind::Symbol), 2)
        } else if first.is_whitespace() {
            (None, first.len_utf8())
        } else {
            (Some(Kind::Symbol), first.len_utf8())
        };
        let token = &rest[..length];
        if let Some(kind) = kind {
            tokens.push(Token { kind, text: token, line });
        }
        line += token.matches('\n').count();
        at += length;
    }
    tokens
}

fn block_comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of the string, byte string, raw string or character that `rest` begins with.
fn literal_length(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| {
            after.starts_with('"')
                || (prefix.ends_with('r') && after.trim_start_matches('#').starts_with('"') && after.starts_with('#'))
        })
    });
    if let Some(prefix) = prefix {
        let after = &rest[prefix.len()..];
        if prefix.ends_with('r') {
            let hashes = after.len() - after.trim_start_matches('#').len();
            let end = format!("\"{}", "#".repeat(hashes));
            let body = prefix.len() + hashes + 1;
            return Some(rest[body..].find(&end).map_or(rest.len(), |found| body + found + end.len()));
        }
        return Some(prefix.len() + quoted_length(after, '"'));
    }
    let after = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('\'')?;
    // A quote and a word without a closing quote is a lifetime.
    let mut characters = after.chars();
    let first = characters.next()?;
    let quote = rest.len() - after.len() - 1;
    (first == '\\' || characters.next() == Some('\'')).then(|| quote + quoted_length(&rest[quote..], '\''))
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return at + 1;
        }
    }
    rest.len()
}

pub(crate) fn code(text: &str) -> Vec<Token<'_>> {
    scan(text).into_iter().filter(|token| token.kind != Kind::Comment).collect()
}

/// The lines of the inline modules that are compiled for tests only, first and last.
pub(crate) fn test_lines(text: &str) -> Vec<(usize, usize)> {
    let tokens = code(text);
    let mut ranges = Vec::new();
    for (at, window) in tokens.windows(7).enumerate() {
        let attribute: Vec<&str> = window.iter().map(|token| token.text).collect();
        if attribute != ["#", "[", "cfg", "(", "test", ")", "]"] {
            continue;
        }
        // A module follows, maybe behind other attributes and a visibility; anything else before its brace or
        // semicolon is not a module.
        let rest = &tokens[at + 7..];
        let Some(open) = rest.iter().position(|token| token.is("{") || token.is(";")) else { continue };
        if !rest[..open].iter().any(|token| token.is("mod")) || rest[open].is(";") {
            continue;
        }
        let mut depth = 0usize;
        for token in &rest[open..] {
            if token.is("{") {
                depth += 1;
            } else if token.is("}") {
                depth -= 1;
                if depth == 0 {
                    ranges.push((window[0].line, token.line));
                    break;
                }
            }
        }
    }
    ranges
}

#[test]
fn the_scanner_tells_code_strings_and_comments_apart() {
    let text = r##"let a = 'x'; let b: &'a str = "q\"/*"; r#"raw " // "# /* one /* two */ */ b'\'' b"bytes" // end"##;
    let of = |kind: Kind| {
        scan(text).into_iter().filter(|token| token.kind == kind).map(|token| token.text).collect::<Vec<_>>()
    };
    assert_eq!(of(Kind::Text), ["'x'", r#""q\"/*""#, r##"r#"raw " // "#"##, r"b'\''", r#"b"bytes""#]);
    assert_eq!(of(Kind::Comment), ["/* one /* two */ */", "// end"]);
    assert_eq!(of(Kind::Word), ["let", "a", "let", "b", "a", "str"]);
}
