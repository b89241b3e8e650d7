-- name: expect_compound_columns_to_be_unique
-- params: model (the tested relation), column_list (a list of columns), row_condition (SQL; rows of which it
--         is not true are not looked at)
-- invariant: one row for each combination that occurs more than once; rows of nulls only are none
select {{ column_list | join(', ') }}, count(*) as occurrences
from {{ model }}
where coalesce({% for column in column_list %}{{ column }} is not null{% if not loop.last %} or {% endif %}{% endfor %}, false) and ({{ row_condition or 'true' }})
group by {{ column_list | join(', ') }}
having count(*) > 1
