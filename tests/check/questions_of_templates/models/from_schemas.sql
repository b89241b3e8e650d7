select {{ all_but(ref('known'), ['kind']) }} from {{ ref('known') }}
