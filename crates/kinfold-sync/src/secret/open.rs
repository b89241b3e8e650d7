//! Reading credentials from files and commands.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kinfold_project::{Diagnostic, Located, SecretSource, Span, codes};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::Secret;

/// Most bytes of a secret. A key in PEM has some thousand.
const MAX_BYTES: u64 = 64 << 10;
/// How long a command may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The credentials of a connection that came from files and commands.
#[derive(Clone, Debug, Default)]
pub struct OpenedSecrets {
    values: Vec<(Span, Secret)>,
    /// What is not as it should be although the secrets were read.
    pub warnings: Vec<Diagnostic>,
}

impl OpenedSecrets {
    /// Reads the sources that `Connection::secret_sources` names: files and working folder of commands are relative
    /// to `root`. A command has 30 seconds, and a secret has at most 64 KiB. One line break at the end is not part of
    /// a secret.
    ///
    /// # Errors
    /// A diagnostic at the first that cannot be read. It holds nothing that the file or the command contained.
    pub async fn open(
        sources: Vec<(Span, SecretSource)>,
        root: &Path,
    ) -> Result<Self, Box<Diagnostic>> {
        Self::open_within(sources, root, TIME_LIMIT).await
    }

    async fn open_within(
        sources: Vec<(Span, SecretSource)>,
        root: &Path,
        limit: Duration,
    ) -> Result<Self, Box<Diagnostic>> {
        let mut opened = Self::default();
        for (span, source) in sources {
            let secret = match source {
                SecretSource::File(path) => {
                    let (secret, open) = file(&path, root).await?;
                    opened.warnings.extend(open);
                    secret
                }
                SecretSource::Command { program, arguments } => {
                    command(&program, &arguments, root, limit).await?
                }
            };
            opened.values.push((span, secret));
        }
        Ok(opened)
    }

    /// The secret whose source stands at this place of the project.
    #[must_use]
    pub fn get(&self, span: Span) -> Option<&Secret> {
        let mut values = self.values.iter();
        values.find(|(at, _)| *at == span).map(|(_, value)| value)
    }
}

async fn file(
    path: &Located<String>,
    root: &Path,
) -> Result<(Secret, Option<Diagnostic>), Box<Diagnostic>> {
    let problem = |what: &str| {
        Box::new(Diagnostic::error(
            codes::SECRET_FILE,
            format!("the file of a secret, `{}`, {what}", path.value),
            path.span,
        ))
    };
    let unreadable = |error: &std::io::Error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            // Relative to the project, which surprises where a person works in another folder.
            let place = root.join(&path.value);
            let note = format!("it was looked for at `{}`", place.display());
            Box::new(problem("is not there").with_note(note))
        } else {
            problem(&format!("cannot be read: {error}"))
        }
    };
    let place = root.join(&path.value);
    let metadata = tokio::fs::metadata(&place).await;
    let metadata = metadata.map_err(|error| unreadable(&error))?;
    // Opening a pipe or a device could wait for ever.
    if !metadata.is_file() {
        return Err(problem("is not a regular file"));
    }
    let opened = tokio::fs::File::open(&place).await;
    let mut opened = opened.map_err(|error| unreadable(&error))?;
    let bytes = limited(&mut opened).await;
    let bytes = bytes.map_err(|error| unreadable(&error))?;
    let secret = secret(bytes).map_err(|reason| problem(reason.of_a_file()))?;
    let open = readable_by_all(&metadata).then(|| {
        Diagnostic::warning(
            codes::SECRET_FILE_OPEN,
            format!(
                "the file of a secret, `{}`, can be read by every user of this machine",
                path.value
            ),
            path.span,
        )
        .with_help("take the right away: `chmod o-r`")
    });
    Ok((secret, open))
}

#[cfg(unix)]
fn readable_by_all(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 != 0
}

/// Elsewhere rights are not a matter of bits.
#[cfg(not(unix))]
fn readable_by_all(_: &std::fs::Metadata) -> bool {
    false
}

async fn command(
    program: &Located<String>,
    arguments: &[Located<String>],
    root: &Path,
    limit: Duration,
) -> Result<Secret, Box<Diagnostic>> {
    let problem = |what: String| {
        Box::new(Diagnostic::error(
            codes::SECRET_COMMAND,
            format!("the command of a secret, `{}`, {what}", program.value),
            program.span,
        ))
    };
    // A relative path would be looked up in this folder on some systems and in the child's on others.
    let named = if program.value.contains(['/', MAIN_SEPARATOR]) {
        root.join(&program.value)
    } else {
        PathBuf::from(&program.value)
    };
    let mut child = Command::new(named)
        .args(arguments.iter().map(|argument| &argument.value))
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| problem(format!("cannot be started: {error}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let run = async {
        let printed = async {
            let bytes = match stdout {
                Some(mut stdout) => limited(&mut stdout).await?,
                None => vec![],
            };
            // It is not waited for a program that prints without end.
            if bytes.len() as u64 > MAX_BYTES {
                return Err(Ended::TooLong);
            }
            Ok(bytes)
        };
        let complained = async {
            match stderr {
                // Whatever it says may hold the secret, so only its length is kept.
                Some(mut stderr) => Ok(tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?),
                None => Ok(0),
            }
        };
        let status = async { Ok(child.wait().await?) };
        tokio::try_join!(printed, complained, status)
    };
    let ended = tokio::time::timeout(limit, run).await;
    let (bytes, complained, status) = match ended {
        Ok(Ok(ended)) => ended,
        Ok(Err(Ended::TooLong)) => return Err(problem(Unfit::TooLong.of_a_command().to_owned())),
        Ok(Err(Ended::Io(error))) => {
            return Err(problem(format!("cannot be listened to: {error}")));
        }
        Err(_) => {
            return Err(problem(format!(
                "did not end within {} seconds",
                limit.as_secs_f64()
            )));
        }
    };
    if !status.success() {
        let failed = problem(format!(
            "failed ({status}), with {complained} bytes on its standard error"
        ));
        let help = "run it in the project's folder to see what it says: it may hold the secret and is not shown";
        return Err(Box::new(failed.with_help(help)));
    }
    secret(bytes).map_err(|reason| problem(reason.of_a_command().to_owned()))
}

/// Why a command was not waited for.
enum Ended {
    TooLong,
    Io(std::io::Error),
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads one byte more than is allowed at most.
async fn limited(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Why bytes are not a secret.
#[derive(Clone, Copy)]
enum Unfit {
    TooLong,
    Empty,
    NotText,
}

impl Unfit {
    fn of_a_file(self) -> &'static str {
        match self {
            Self::TooLong => "has more than 64 KiB",
            Self::Empty => "is empty",
            Self::NotText => "is not UTF-8",
        }
    }

    fn of_a_command(self) -> &'static str {
        match self {
            Self::TooLong => "printed more than 64 KiB",
            Self::Empty => "printed nothing",
            Self::NotText => "printed what is not UTF-8",
        }
    }
}

fn secret(bytes: Vec<u8>) -> Result<Secret, Unfit> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unfit::TooLong);
    }
    let text = String::from_utf8(bytes).map_err(|_| Unfit::NotText)?;
    let value = text.strip_suffix('\n').map_or(&*text, |line| {
        // As editors of another system end a line.
        line.strip_suffix('\r').unwrap_or(line)
    });
    if value.trim().is_empty() {
        return Err(Unfit::Empty);
    }
    Ok(Secret::new(value))
}

#[cfg(test)]
mod tests;
