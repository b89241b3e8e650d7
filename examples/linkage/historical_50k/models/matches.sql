select
    source, record_id, first_name, last_name, full_name, born, place, postcode, occupation,
    first_name || ' ' || last_name as both_names,
    array_filter(string_to_array(full_name, ' '), word -> length(word) >= 3) as name_words,
    nullif(split_part(postcode, ' ', 1), '') as district
from {{ ref('records') }}
