{{ config(materialized='table') }}
SELECT *
FROM (
    VALUES
        (1, 'a', 'ann', 5, 1, 3, DATE '2026-01-01', 1, CAST(NULL AS INTEGER)),
        (2, 'a', 'bo', 7, 3, 5, DATE '2026-01-02', 1, NULL),
        (3, 'b', '  ', 9, 1, 2, DATE '2026-01-04', 1, NULL),
        (4, 'b', 'bo', NULL, 4, 6, DATE '2026-01-05', 1, NULL)
) AS things (id, grp, name, amount, lo, hi, day, one, nothing)
