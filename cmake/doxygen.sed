# For doxygen's eyes: what stands behind or above a field or an enumerator is its documentation.
s,([;\,]) +/\* ,\1 /**< ,
s,^( +)/\* ,\1/** ,
