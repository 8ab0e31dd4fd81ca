//! What a terminal can show.

/// What a terminal shows, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
    /// Whether it has colours, and they are wanted.
    pub colour: bool,
    /// Whether its character set is UTF-8.
    pub unicode: bool,
    /// Whether a new question rings.
    pub bell: bool,
}

/// What stands before foreign text in a row that begins it, and in one that goes on.
#[derive(Debug, Clone, Copy)]
pub struct Bars {
    /// In the first row.
    pub first: &'static str,
    /// In the rows after it.
    pub next: &'static str,
}

impl Bars {
    /// Those of a terminal with Unicode, and of one without.
    #[must_use]
    pub fn of(unicode: bool) -> Self {
        match unicode {
            true => Self {
                first: "│ ",
                next: "┆ ",
            },
            false => Self {
                first: "| ",
                next: ": ",
            },
        }
    }
}

impl Look {
    /// Columns that a question needs: a label, a bar and the longest escape.
    pub const COLUMNS_MIN: usize = 24;
    /// Columns that a question is drawn in at most: nobody reads wider lines.
    pub const COLUMNS_MAX: usize = 200;

    /// A terminal of which nothing is known.
    pub const PLAIN: Self = Self {
        columns: 80,
        rows: 24,
        colour: false,
        unicode: true,
        bell: false,
    };

    /// The same with the size that a terminal says; zero where it does not know.
    #[must_use]
    pub fn sized(self, (columns, rows): (u16, u16)) -> Self {
        let known = |size: u16, otherwise: usize| match size {
            0 => otherwise,
            size => usize::from(size),
        };
        Self {
            columns: known(columns, Self::PLAIN.columns).min(Self::COLUMNS_MAX),
            rows: known(rows, Self::PLAIN.rows),
            ..self
        }
    }

    /// Whether labels have a column of their own.
    pub(super) fn is_wide(self) -> bool {
        self.columns >= 40
    }

    pub(super) fn bars(self) -> Bars {
        Bars::of(self.unicode)
    }

    pub(super) fn dot(self) -> &'static str {
        if self.unicode { "·" } else { "-" }
    }

    pub(super) fn cut(self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }
}
