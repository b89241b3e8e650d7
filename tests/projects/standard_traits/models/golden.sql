{{ config(materialized='table') }}
{{ kinfold.golden_values(ref('claims'), {
    'source_priority': {'rules': ['source_priority'], 'sources': ['shop', 'crm']},
    'most_recent': {'rules': ['most_recent']},
    'first': {'rules': ['first']},
    'most_frequent': {'rules': ['most_frequent']},
    'longest': {'rules': ['longest']},
    'shortest': {'rules': ['shortest']},
    'max': {'rules': ['max']},
    'min': {'rules': ['min']},
    'max_number': {'rules': ['max_number']},
    'min_number': {'rules': ['min_number']},
    'three': {'rules': ['most_recent'], 'top': 3},
    'frequent_then_first': {'rules': ['most_frequent', 'first']},
}) }}
