{{ config(materialized='table') }}
SELECT * FROM (VALUES (1, 'a'), (2, 'a'), (2, 'b')) AS others (id, grp)
