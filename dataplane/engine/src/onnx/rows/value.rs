//! What is known of a tensor while rows are followed through a graph.

use super::super::topology::{Declared, Node, Setting, Tensor, element};

/// Where the rows of a batch are in a tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rows {
    /// Nowhere: it is the same whatever the inputs are.
    Constant,
    /// Along this axis, each row at places of its own.
    Axis(usize),
    /// Nothing is known.
    #[default]
    Unknown,
}

/// A tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) rows: Rows,
    /// Number of axes; known wherever rows have an axis.
    pub(super) rank: Option<usize>,
    /// Whether its elements are floating-point numbers.
    pub(super) float: Option<bool>,
    /// The elements of a small constant of whole numbers.
    pub(super) integers: Option<Vec<i64>>,
}

impl Value {
    /// A required input of the model, whose first axis has the rows.
    pub(super) fn of_input(declared: &Declared) -> Self {
        let rows = match declared.rank {
            Some(1..) => Rows::Axis(0),
            _ => Rows::Unknown,
        };
        Self {
            rows,
            ..Self::of_formal(declared)
        }
    }

    /// An input of a subgraph, of which only the declaration is known.
    pub(super) fn of_formal(declared: &Declared) -> Self {
        let mut value = Self::default();
        value.learn(declared);
        value
    }

    pub(super) fn of_tensor(tensor: &Tensor) -> Self {
        Self {
            rows: Rows::Constant,
            rank: Some(tensor.rank),
            float: Some(element::is_float(tensor.element)),
            integers: tensor.integers.clone(),
        }
    }

    /// Adds what the file declares of it.
    pub(super) fn learn(&mut self, declared: &Declared) {
        if self.float.is_none() && declared.element != 0 {
            self.float = Some(element::is_float(declared.element));
        }
        self.rank = self.rank.or(declared.rank);
    }

    /// The axis of its rows and its rank.
    pub(super) fn axis(&self) -> Option<(usize, usize)> {
        match (self.rows, self.rank) {
            (Rows::Axis(axis), Some(rank)) => Some((axis, rank)),
            _ => None,
        }
    }

    pub(super) fn is_constant(&self) -> bool {
        self.rows == Rows::Constant
    }

    /// The same, with elements that are floats or not.
    pub(super) fn typed(mut self, float: Option<bool>) -> Self {
        self.float = float;
        self
    }

    /// What is true of both.
    pub(super) fn join(&self, other: &Self) -> Self {
        let same = self.rows == other.rows && self.rank == other.rank;
        Self {
            rows: if same { self.rows } else { Rows::Unknown },
            rank: self.rank.filter(|_| same),
            float: self.float.filter(|_| self.float == other.float),
            integers: None,
        }
    }
}

/// An operator with what is known of its inputs.
pub(super) struct Call<'c> {
    pub(super) node: &'c Node,
    /// The version of the standard's operators.
    pub(super) opset: i64,
    /// `None` where an optional input is left out.
    pub(super) inputs: Vec<Option<Value>>,
}

/// The axes that an operator works on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Axes {
    All,
    These(Vec<i64>),
}

impl Call<'_> {
    pub(super) fn input(&self, at: usize) -> Option<&Value> {
        self.inputs.get(at)?.as_ref()
    }

    /// The axis of the rows of an input and its rank.
    pub(super) fn rows(&self, at: usize) -> Option<(usize, usize)> {
        self.input(at)?.axis()
    }

    /// The elements of an input that is a small constant of whole numbers.
    pub(super) fn constant(&self, at: usize) -> Option<&[i64]> {
        self.input(at)?.integers.as_deref()
    }

    /// A whole number among the attributes; `None` where its value is not known.
    pub(super) fn integer(&self, name: &str, default: i64) -> Option<i64> {
        match self.node.attribute(name) {
            None => Some(default),
            Some(Setting::Integer(value)) => Some(*value),
            Some(_) => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.node.attribute(name) {
            Some(Setting::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The axes of the attribute or input of that name; `None` where they are not known.
    pub(super) fn axes(&self, input: usize) -> Option<Axes> {
        let none = if self.integer("noop_with_empty_axes", 0)? == 0 {
            Axes::All
        } else {
            Axes::These(Vec::new())
        };
        match (self.node.attribute("axes"), self.input(input)) {
            (Some(Setting::Integers(axes)), _) => Some(Axes::These(axes.clone())),
            (Some(_), _) => None,
            (None, None) => Some(none),
            (None, Some(value)) => match value.integers.as_deref() {
                Some([]) => Some(none),
                Some(axes) => Some(Axes::These(axes.to_vec())),
                None => None,
            },
        }
    }
}

/// The place of an axis that may be counted from the end.
pub(super) fn place(axis: i64, rank: usize) -> Option<usize> {
    let rank_signed = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis + rank_signed } else { axis };
    usize::try_from(axis).ok().filter(|axis| *axis < rank)
}

impl Axes {
    /// The axes of a tensor of this rank, ascending.
    pub(super) fn places(&self, rank: usize) -> Option<Vec<usize>> {
        let mut places: Vec<usize> = match self {
            Self::All => (0..rank).collect(),
            Self::These(axes) => axes
                .iter()
                .map(|axis| place(*axis, rank))
                .collect::<Option<_>>()?,
        };
        places.sort_unstable();
        Some(places)
    }
}
