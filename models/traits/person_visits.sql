{#- The sessions of each person. -#}
{{ config(materialized='table', enabled=has_events()) }}
{{ traits(ref('sessions'), [
    {'name': 'sessions', 'kind': 'count'},
    {'name': 'sessions_30d', 'kind': 'count', 'days': 30},
    {'name': 'average_session_seconds', 'kind': 'avg', 'value': 'seconds'},
    {'name': 'longest_session_seconds', 'kind': 'max', 'value': 'seconds'},
    {'name': 'bounce_rate', 'kind': 'ratio', 'part': 'is_bounce'},
    {'name': 'favourite_landing_page', 'kind': 'most_frequent', 'value': 'landing_page'},
], at='started_at', id='session_id') }}
