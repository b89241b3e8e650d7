-- name: unique
-- params: model (the tested relation), column_name (an expression over its columns)
-- invariant: one row for each value that occurs more than once; null is no value
select {{ column_name }} as unique_value, count(*) as occurrences
from {{ model }}
where {{ column_name }} is not null
group by {{ column_name }}
having count(*) > 1
