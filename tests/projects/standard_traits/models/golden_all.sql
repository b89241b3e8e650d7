{{ config(materialized='table') }}
{{ kinfold.golden_values(ref('claims'), {'most_recent': {'rules': ['most_recent']}}, clears='all') }}
