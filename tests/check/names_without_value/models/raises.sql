SELECT 1 AS one
{{ exceptions.raise_compiler_error('the month is missing') }}
