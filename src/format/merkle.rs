//! The Merkle tree hash of RFC 9162, section 2.1.1, built leaf by leaf.

use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub(crate) type Hash = [u8; 32];

/// A tree that leaves are added to.
#[derive(Clone, Debug, Default)]
pub(crate) struct MerkleTree {
    /// Roots of the complete subtrees, largest first, each with its number of leaves: a binary counter.
    subtrees: Vec<(u64, Hash)>,
}

impl MerkleTree {
    /// Adds a leaf whose content is the parts, one after another.
    pub(crate) fn push(&mut self, parts: &[&[u8]]) {
        let mut hasher = Sha256::new();
        hasher.update([0]);
        parts.iter().for_each(|part| hasher.update(part));
        let mut subtree: (u64, Hash) = (1, hasher.finalize().into());
        while let Some((leaves, left)) = self.subtrees.last().copied().filter(|last| last.0 == subtree.0) {
            self.subtrees.pop();
            subtree = (leaves * 2, node(&left, &subtree.1));
        }
        self.subtrees.push(subtree);
    }

    /// The hash of the whole tree; of an empty one, the hash of nothing.
    pub(crate) fn root(&self) -> Hash {
        let mut subtrees = self.subtrees.iter().rev().map(|(_, root)| *root);
        let Some(last) = subtrees.next() else { return Sha256::digest([]).into() };
        subtrees.fold(last, |right, left| node(&left, &right))
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of the RFC, as it stands there.
    fn by_definition(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => {
                let mut hasher = Sha256::new();
                hasher.update([0]);
                hasher.update(leaf);
                hasher.finalize().into()
            }
            _ => {
                let mut split = 1;
                while split * 2 < leaves.len() {
                    split *= 2;
                }
                node(&by_definition(&leaves[..split]), &by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn equals_the_definition_for_every_small_size() {
        let leaves: Vec<Vec<u8>> = (0u8..70).map(|number| vec![number; usize::from(number % 5)]).collect();
        for size in 0..leaves.len() {
            let mut tree = MerkleTree::default();
            leaves[..size].iter().for_each(|leaf| tree.push(&[leaf]));
            assert_eq!(tree.root(), by_definition(&leaves[..size]), "{size} leaves");
        }
    }
}
