-- name: leaving
-- params: state (a sync's state)
-- invariant: every row, with the text of its key: what a removal needs when the model has the row no more
SELECT key_hash, ordinal, key_text
FROM state
