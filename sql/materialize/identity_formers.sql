-- name: materialize.identity_formers
-- invariant: every id that an identifier had, with a number that grows from run to run
SELECT
    id_type,
    id_value,
    canonical_id,
    arrow_cast(dense_rank() OVER (ORDER BY run_id), 'Int64') AS until
FROM kinfold._run.history
