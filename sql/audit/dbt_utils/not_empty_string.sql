-- name: not_empty_string
-- params: model (the tested relation), column_name (an expression over its columns), trim_whitespace
--         (whether blanks are nothing; true unless given)
-- invariant: one row for each row with an empty text
select {{ column_name }} as empty_value
from {{ model }}
where {% if trim_whitespace is none or trim_whitespace %}trim({{ column_name }}){% else %}{{ column_name }}{% endif %} = ''
