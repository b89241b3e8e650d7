-- name: accepted_range
-- params: model (the tested relation), column_name (an expression over its columns), min_value, max_value
--         (SQL, either may be missing), inclusive (whether these are allowed; true unless given)
-- invariant: one row for each row whose value is outside; null is no value
select {{ column_name }} as unexpected_value
from {{ model }}
where false
{%- if min_value is not none %} or {{ column_name }} {{ '<' if inclusive is none or inclusive else '<=' }} {{ min_value }}{% endif %}
{%- if max_value is not none %} or {{ column_name }} {{ '>' if inclusive is none or inclusive else '>=' }} {{ max_value }}{% endif %}
