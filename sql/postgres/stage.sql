-- name: stage
-- params: {definitions} of the columns, with the types of the object's
-- invariant: seen by this transaction only, and gone after it
CREATE TEMPORARY TABLE {stage} ({definitions}) ON COMMIT DROP
