{{ config(materialized='tabel') }}
SELECT 1 AS one
