-- name: materialize.identity_rows
-- invariant: the rows of an identity model as text and microseconds, whatever types the user chose
SELECT
    CAST(source AS VARCHAR) AS source,
    CAST(record_id AS VARCHAR) AS record_id,
    CAST(id_type AS VARCHAR) AS id_type,
    CAST(id_value AS VARCHAR) AS id_value,
    arrow_cast(CAST(observed_at AS TIMESTAMP), 'Timestamp(µs)') AS observed_at
FROM kinfold._run.query
