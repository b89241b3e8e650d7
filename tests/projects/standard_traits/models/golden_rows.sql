{{ config(materialized='table') }}
{%- set attributes = {'most_recent': {'rules': ['most_recent']}, 'three': {'rules': ['most_recent'], 'top': 3}} %}
SELECT
    canonical_id,
    {{ kinfold.golden_columns(attributes, provenance=true) }}
FROM {{ ref('golden') }}
GROUP BY canonical_id
